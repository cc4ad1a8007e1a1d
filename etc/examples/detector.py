#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A model behind Sentinel's detector contract (proto/sentinel/v1/detector.proto):
each event type that a host has rarely shown before is an anomaly. Needs
python3-grpcio and stubs that `python3 -m grpc_tools.protoc -Iproto
--python_out=STUBS --grpc_python_out=STUBS sentinel/v1/detector.proto` makes.

    detector.py STUBS 127.0.0.1:50051
"""

import collections
import concurrent.futures
import sys

import grpc

sys.path.insert(0, sys.argv[1])
from google.protobuf import empty_pb2  # noqa: E402
from sentinel.v1 import detector_pb2, detector_pb2_grpc  # noqa: E402


class Detector(detector_pb2_grpc.DetectorServiceServicer):
    def __init__(self):
        self.seen = collections.defaultdict(collections.Counter)

    def StreamEvents(self, events, context):
        for event in events:
            seen = self.seen[event.hostname]
            key = event.event_type, event.data["comm"]
            rare = 1 - seen[key] / (1 + seen.total())
            seen[key] += 1
            yield detector_pb2.DetectionResponse(
                event_id=event.event_id, score=rare,
                anomaly=seen.total() > 100 and rare > 0.99,
                reason=f"{key[1]} seldom does {key[0]}")

    def ReportAnomaly(self, report, context):
        print(report.reason, flush=True)
        return empty_pb2.Empty()


server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
detector_pb2_grpc.add_DetectorServiceServicer_to_server(Detector(), server)
server.add_insecure_port(sys.argv[2])
server.start()
server.wait_for_termination()
