#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A detector of python3-grpcio, with stubs made from the proto file: notes what
it gets in a file, one line of JSON each, before it answers. What it does besides
is an order on standard input:

    {"do": "answer"}    answer each event (from the start on)
    {"do": "anomaly"}   the same, each an anomaly
    {"do": "slow"}      answer each event 20 ms later than the one before
    {"do": "quiet"}     read, and answer nothing
    {"do": "stop"}      read no more
    {"do": "end"}       end the stream
    {"do": "rubbish"}   after each answer one of everything that is none
    {"do": "flood"}     100 MiB as one answer
    {"reports": CODE}   end the call of each report with this code (OK from the
                        start on); reports are noted in a file of their own

Standard output has one line for each stream that begins, and for each order that
is in force."""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import sys
import threading
import time

import grpc


def tell(what):
    """Whole, whichever thread it is."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def read_file(path):
    with open(path, "rb") as stream:
        return stream.read()


class Detector(grpc.GenericRpcHandler):
    def __init__(self, pb, options):
        self.pb = pb
        self.out = os.open(options.out, os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                           0o600)
        self.is_full = options.full
        self.reports = os.open(options.out.with_suffix(".reports"),
                               os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.do = "answer"
        self.code = "OK"
        self.changed = threading.Condition()

    def order(self, what):
        with self.changed:
            self.do = what.get("do", self.do)
            self.code = what.get("reports", self.code)
            self.changed.notify_all()

    def note(self, event):
        line = {"id": event.event_id, "type": event.event_type,
                "pid": event.data["pid"], "name": event.data["filename"]}
        if self.is_full:
            line = {field.name: dict(value) if field.name in
                    ("data", "attributes") else value
                    for field, value in event.ListFields()}
        os.write(self.out, json.dumps(line).encode() + b"\n")

    def response(self, event, **fields):
        made = self.pb.DetectionResponse(event_id=event.event_id, **fields)
        made.ts.GetCurrentTime()
        return made.SerializeToString()

    def rubbish(self, event):
        yield self.response(event, score=float("nan"), reason="r" * 5000)
        yield self.pb.DetectionResponse(
            event_id="0" * 36, anomaly=True).SerializeToString()
        yield self.pb.DetectionResponse(event_id="x" * 999).SerializeToString()
        yield self.response(event, anomaly=True)
        yield b"\xff" * 64
        yield b""

    def stream_events(self, requests, context):
        tell({"stream": dict(
            (key, value) for key, value in context.invocation_metadata()
            if isinstance(value, str))})
        for data in requests:
            event = self.pb.EventEnvelope.FromString(data)
            self.note(event)
            what = self.do
            if what == "stop":
                with self.changed:
                    self.changed.wait_for(lambda: self.do != "stop")
            if what == "end":
                return
            if what == "slow":
                time.sleep(0.02)
            if what in ("answer", "anomaly", "slow"):
                yield self.response(event, anomaly=what == "anomaly",
                                    score=0.5 if what == "anomaly" else 0,
                                    reason="as asked")
            elif what == "rubbish":
                yield from self.rubbish(event)
            elif what == "flood":
                yield self.response(event, reason="x" * (100 << 20))

    def report_anomaly(self, data, context):
        report = self.pb.AnomalyReport.FromString(data)
        code = self.code
        line = {"id": report.event_id, "reason": report.reason,
                "score": report.score, "labels": dict(report.labels),
                "code": code}
        os.write(self.reports, json.dumps(line).encode() + b"\n")
        if code != "OK":
            context.abort(grpc.StatusCode[code], "as asked")
        return b""

    def service(self, details):
        if details.method == "/sentinel.v1.DetectorService/ReportAnomaly":
            return grpc.unary_unary_rpc_method_handler(self.report_anomaly)
        if details.method == "/sentinel.v1.DetectorService/StreamEvents":
            return grpc.stream_stream_rpc_method_handler(self.stream_events)
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stubs", required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    options = parser.parse_args()
    sys.path.insert(0, options.stubs)
    from sentinel.v1 import detector_pb2
    detector = Detector(detector_pb2, options)
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_workers=16),
        handlers=[detector], options=[
            ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 100)])
    if options.cert:
        port = server.add_secure_port(options.listen, grpc.ssl_server_credentials(
            [(read_file(options.key), read_file(options.cert))]))
    else:
        port = server.add_insecure_port(options.listen)
    if not port:
        sys.exit(f"cannot listen on {options.listen}")
    # It listens; a stream tells of itself behind this line.
    tell({"ready": True})
    server.start()
    for line in itertools.takewhile(bool, iter(sys.stdin.readline, None)):
        detector.order(json.loads(line))
        tell({"ordered": True})


if __name__ == "__main__":
    main()
