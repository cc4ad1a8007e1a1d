# SPDX-License-Identifier: Apache-2.0
"""The local API by another gRPC implementation than the daemon's own. Stubs
are made from proto/ at test time, so nothing here repeats what it says."""

import importlib
import sys

import grpc
import pytest

from world import ROOT, run

PROTOS = ("policy", "event", "runtime", "finding", "detector_status", "daemon",
          "control")


def make_stubs(folder):
    run("/usr/bin/python3", "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}",
        f"--python_out={folder}", f"--grpc_python_out={folder}",
        *(f"sentinel/v1/{name}.proto" for name in PROTOS))
    sys.path.insert(0, str(folder))
    return {name: importlib.import_module(f"sentinel.v1.{name}")
            for name in ("policy_pb2", "event_pb2", "daemon_pb2", "daemon_pb2_grpc",
                         "control_pb2", "control_pb2_grpc")}


class Client:
    """client.call("Attach", interface_name="w0"): the answer's message."""

    def __init__(self, path, stubs):
        self.policy = stubs["policy_pb2"]
        self.daemon = stubs["daemon_pb2"]
        self.event = stubs["event_pb2"]
        self.path = path
        self.make_stub = stubs["daemon_pb2_grpc"].DaemonServiceStub
        self.channel = grpc.insecure_channel(
            f"unix:{path}", options=[("grpc.max_send_message_length", -1),
                                     ("grpc.max_receive_message_length", -1),
                                     ("grpc.enable_retries", 0)])
        self.stub = stubs["daemon_pb2_grpc"].DaemonServiceStub(self.channel)

    def call(self, method, **fields):
        request = getattr(self.daemon, method + "Request")(**fields)
        return getattr(self.stub, method)(request, timeout=30,
                                          wait_for_ready=False)

    def refused(self, code, method, *texts, **fields):
        """The call must fail with that code and say each of the texts."""
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, **fields)
        assert caught.value.code() == getattr(grpc.StatusCode, code), \
            caught.value.details()
        for text in texts:
            assert text in caught.value.details()
        return caught.value.details()

    def rule(self, cidr, verdict="ALLOW", **fields):
        return self.policy.Rule(
            verdict=getattr(self.policy, "VERDICT_" + verdict), cidr=cidr,
            **fields)

    def make_policy(self, rules=(), mode="ALLOWLIST", **fields):
        return self.policy.Policy(mode=getattr(self.policy, "MODE_" + mode),
                                  rules=rules, **fields)

    def apply_stream(self, ident, first_policy, chunks, dry_run=False):
        def messages():
            request = self.daemon.ApplyStreamRequest
            yield request(id=ident, policy=first_policy, dry_run=dry_run)
            for rules in chunks:
                yield request(rules=rules)

        return self.stub.ApplyStream(messages(), timeout=60).result

    def close(self):
        self.channel.close()
