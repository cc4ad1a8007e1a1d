#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The control plane that `make bench` measures with: takes the one attachment
over, sends commands one after the other, and prints how long each took from
here and back, in ms, when the kernel has what it says. What is sent was packed
before.

    stream_plane.py STUBS ADDRESS ROUNDS
"""

import concurrent.futures
import importlib
import json
import os
import queue
import sys
import threading
import time
import traceback

import grpc

STUBS, ADDRESS, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.path.insert(0, STUBS)
pb = importlib.import_module("sentinel.v1.control_pb2")
policy = importlib.import_module("sentinel.v1.policy_pb2")

out = queue.Queue()
heard = queue.Queue()


def command(number, ident="", revision=0, **fields):
    return pb.ControlCommand(command_id=str(number), id=ident,
                             revision=revision, **fields).SerializeToString()


def bulk(third, n):
    update = pb.BulkUpdate(mode=policy.MODE_ALLOWLIST)
    update.dns.SetInParent()
    for i in range(n):
        update.cidrs.add(verdict=policy.VERDICT_ALLOW,
                         cidr=f"10.{third + i // 65536}.{i // 256 % 256}.{i % 256}")
    return update


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(self.connect)

    def connect(self, requests, context):
        def read():
            for event in requests:
                heard.put(event)

        threading.Thread(target=read, daemon=True).start()
        yield from iter(out.get, None)


def event(kind, matches=lambda one: True):
    while True:
        found = pb.DaemonEvent.FromString(heard.get(timeout=60))
        if found.WhichOneof("event") == kind and \
                matches(getattr(found, kind)):
            return getattr(found, kind)


def timed(number, data):
    begin = time.perf_counter()
    out.put(data)
    result = event("command_result",
                   lambda one: one.command_id == str(number))
    took_ms = (time.perf_counter() - begin) * 1e3
    if not result.success or result.repeated:
        sys.exit(f"wrong: {result}")
    return took_ms


def main():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(),
                         handlers=[Handler()])
    if not server.add_insecure_port(ADDRESS):
        sys.exit(f"cannot listen on {ADDRESS}")
    server.start()
    print("ready", flush=True)
    event("sync_request")
    out.put(command(0, sync_ack=pb.SyncAck()))
    ident = event("subscribed").attachment.id
    number = 1
    found = {"10,000 CIDRs": [], "allow": [], "remove": [], "no-op": []}
    updates = [bulk(60, 10000), bulk(80, 10000)]
    timed(number, command(number, ident, number,
                          subscribed_ack=pb.SubscribedAck(policy=updates[0])))
    for i in range(ROUNDS):
        for what, fields in (
                ("10,000 CIDRs", {"bulk_update": updates[(i + 1) % 2]}),
                ("no-op", {"remove_cidr": pb.RemoveCIDR(cidr="192.0.2.1")}),
                ("allow", {"allow_cidr": pb.AllowCIDR(cidr="192.0.2.2")}),
                ("remove", {"remove_cidr": pb.RemoveCIDR(cidr="192.0.2.2")})):
            number += 1
            data = command(number, ident, number, **fields)
            found[what].append(timed(number, data))
    print(json.dumps(found), flush=True)
    out.put(None)
    server.stop(None)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        # The server's threads would keep the process.
        traceback.print_exc()
        os._exit(1)
