#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A scripted control plane: python3-grpcio's server, and nothing that thinks.
What comes is printed, one JSON object a line; what is to be sent is read the
same way. Messages are hex, so that a test can send what no library would make.

    in   {"send": HEX}             to the newest stream
         {"end": CODE}             ends the newest stream with a status
         {"answer": N, "data": HEX or null}   of QueryDns number N; null: fail
    out  {"open": STREAM, "metadata": {...}}
         {"message": HEX, "stream": STREAM}
         {"close": STREAM}
         {"query": N, "data": HEX}
"""

import argparse
import concurrent.futures
import json
import queue
import sys
import threading

import grpc

LOCK = threading.Lock()


def say(**line):
    with LOCK:
        print(json.dumps(line), flush=True)


class Plane(grpc.GenericRpcHandler):
    def __init__(self):
        self.streams = 0
        self.newest = None
        self.queries = {}
        self.n_queries = 0

    def service(self, details):
        if details.method == "/sentinel.v1.ControlPlane/Connect":
            return grpc.stream_stream_rpc_method_handler(self.connect)
        if details.method == "/sentinel.v1.ControlPlane/QueryDns":
            return grpc.unary_unary_rpc_method_handler(self.query)
        return None

    def connect(self, requests, context):
        self.streams += 1
        number, out = self.streams, queue.Queue()
        self.newest = out
        say(open=number, metadata=dict(
            (key, value) for key, value in context.invocation_metadata()
            if isinstance(value, str)))
        context.add_callback(lambda: out.put(None))

        def read():
            try:
                for message in requests:
                    say(message=message.hex(), stream=number)
            except Exception:
                pass
            say(close=number)

        threading.Thread(target=read, daemon=True).start()
        while True:
            item = out.get()
            if item is None:
                return
            if isinstance(item, int):
                if item:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "as asked")
                return
            yield item

    def query(self, request, context):
        with LOCK:
            self.n_queries += 1
            number = self.n_queries
        answer = self.queries[number] = queue.Queue()
        say(query=number, data=request.hex())
        data = answer.get()
        if data is None:
            context.abort(grpc.StatusCode.INTERNAL, "as asked")
        return data


def read_file(path):
    with open(path, "rb") as stream:
        return stream.read()


def listen(server, arguments):
    if not arguments.cert:
        return server.add_insecure_port(arguments.listen)
    credentials = grpc.ssl_server_credentials(
        [(read_file(arguments.key), read_file(arguments.cert))],
        read_file(arguments.client_ca) if arguments.client_ca else None,
        bool(arguments.client_ca))
    return server.add_secure_port(arguments.listen, credentials)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    arguments = parser.parse_args()
    plane = Plane()
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_workers=64),
        handlers=[plane], options=[
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 100)])
    if not listen(server, arguments):
        sys.exit(f"cannot listen on {arguments.listen}")
    # Whoever comes earlier waits; what it does is said behind this.
    say(ready=True)
    server.start()
    for line in sys.stdin:
        order = json.loads(line)
        if "send" in order:
            plane.newest.put(bytes.fromhex(order["send"]))
        elif "end" in order:
            plane.newest.put(order["end"])
        elif "answer" in order:
            data = order["data"]
            plane.queries[order["answer"]].put(
                None if data is None else bytes.fromhex(data))
    server.stop(None)


if __name__ == "__main__":
    main()
