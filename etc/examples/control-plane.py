#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A control plane to start from: serves policies by metadata from a YAML file
(control-plane.yaml beside this one) to every host that connects, and prints what
it hears.

    control-plane.py --policies FILE --listen 127.0.0.1:7443
        [--cert FILE --key FILE [--client-ca FILE]] [--token-file FILE]

Needs Debian's python3-grpcio, python3-grpc-tools and python3-yaml. The stubs are
made of proto/ when it starts. On the host, in sentinel-cp.yaml:

    control:
      urls: ["https://control.example:7443"]
      tls: {ca: /etc/sentinel/control-ca.pem}

A host says in SyncRequest which revision of each attachment is applied. Each
answer bears a higher one; nothing else has to be remembered here, so this program
may be restarted, or run twice, at any time.
"""

import argparse
import concurrent.futures
import hmac
import importlib
import itertools
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import grpc
import yaml

PROTO = Path(__file__).resolve().parents[2] / "proto"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
REREAD_S = 1


def make_stubs(folder):
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}",
                    f"--python_out={folder}", f"--grpc_python_out={folder}",
                    *(f"sentinel/v1/{path.name}" for path in
                      (PROTO / "sentinel/v1").glob("*.proto"))], check=True)
    sys.path.insert(0, str(folder))
    return [importlib.import_module(f"sentinel.v1.{name}") for name in
            ("policy_pb2", "control_pb2", "control_pb2_grpc")]


def seconds(text):
    return int(text[:-1]) * UNITS[text[-1]]


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


class Policies:
    """The file; a mistake in it leaves the last good contents in force."""

    def __init__(self, path, policy_pb2, control_pb2):
        self.path, self.policy, self.control = path, policy_pb2, control_pb2
        self.stamp = None
        self.entries = []
        self.reread()

    def reread(self):
        """True: there is something new."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self.stamp:
                return False
            self.stamp = stamp
            entries = yaml.safe_load(self.path.read_text())
            self.entries = [(entry.pop("match"), self.convert(entry))
                            for entry in entries]
            return True
        except Exception as error:
            say(f"{self.path}: {error}; the policies before stay")
            return False

    def convert(self, entry):
        mode = entry.pop("mode", "allowlist").upper().replace("-", "_")
        update = self.control.BulkUpdate(
            mode=self.policy.Mode.Value("MODE_" + mode),
            audit=entry.pop("audit", False))
        # Absent: as the address mode. It has to be said.
        update.dns.SetInParent()
        for rule in entry.pop("cidrs", []):
            verdict = "allow" if "allow" in rule else "deny"
            update.cidrs.add(
                verdict=self.policy.Verdict.Value(
                    "VERDICT_" + verdict.upper()),
                cidr=rule.pop(verdict), ports=rule.pop("ports", []),
                ttl_seconds=seconds(rule.pop("ttl", "0s")))
            if rule:
                raise ValueError(f"{sorted(rule)}: not known here")
        if entry:
            raise ValueError(f"{sorted(entry)}: not known here")
        return update

    def find(self, metadata):
        for match, update in self.entries:
            if all(metadata.get(key) == value for key, value in match.items()):
                return update
        return None


class Host:
    """One stream."""

    def __init__(self, control_pb2, policies, name):
        self.pb, self.policies, self.name = control_pb2, policies, name
        self.numbers = itertools.count(1)
        self.out = queue.Queue()
        self.lock = threading.Lock()
        self.attachments = {}  # id: [metadata, revision]

    def send(self, ident="", revision=0, **command):
        self.out.put(self.pb.ControlCommand(
            command_id=f"{self.name}-{next(self.numbers)}", id=ident,
            revision=revision, **command))

    def update(self, ident, first=False):
        entry = self.attachments[ident]
        policy = self.policies.find(entry[0])
        entry[1] += 1
        if first:
            self.send(ident, entry[1], subscribed_ack=self.pb.SubscribedAck(
                policy=policy))
        elif policy:
            self.send(ident, entry[1], bulk_update=policy)

    def update_all(self):
        with self.lock:
            for ident in self.attachments:
                self.update(ident)

    def hear(self, event):
        kind = event.WhichOneof("event")
        if kind is None:
            return  # of a later version
        heard = getattr(event, kind)
        say(self.name, kind, str(heard).replace("\n", " "))
        with self.lock:
            if kind == "sync_request":
                for one in heard.attachments:
                    self.attachments[one.id] = [dict(one.metadata),
                                                one.applied_revision]
                if not heard.more:
                    self.send(sync_ack=self.pb.SyncAck())
                    for ident in self.attachments:
                        self.update(ident)
            elif kind == "subscribed":
                one = heard.attachment
                known = self.attachments.get(one.id, [None, 0])
                self.attachments[one.id] = [
                    dict(one.metadata), max(known[1], one.applied_revision)]
                self.update(one.id, first=True)
            elif kind == "unsubscribed":
                self.attachments.pop(heard.id, None)


def make_service(arguments, control_pb2, base, policies):
    class ControlPlane(base):
        def __init__(self):
            self.hosts = set()
            self.numbers = itertools.count(1)

        def Connect(self, requests, context):
            self.check(context)
            host = Host(control_pb2, policies, f"host{next(self.numbers)}")
            say(host.name, "connected from", context.peer())
            self.hosts.add(host)
            context.add_callback(lambda: host.out.put(None))

            def read():
                try:
                    for event in requests:
                        host.hear(event)
                except grpc.RpcError:
                    pass
                finally:
                    host.out.put(None)

            threading.Thread(target=read, daemon=True).start()
            for command in iter(host.out.get, None):
                yield command
            self.hosts.discard(host)
            say(host.name, "gone")

        def QueryDns(self, request, context):
            self.check(context)
            say("query", request.id, request.name, request.type)
            return control_pb2.DnsQueryResponse(allow=False, ttl_seconds=60)

        def check(self, context):
            if not arguments.token_file:
                return
            wanted = "Bearer " + arguments.token_file.read_text().strip()
            metadata = dict(context.invocation_metadata())
            if not hmac.compare_digest(wanted,
                                       metadata.get("authorization", "")):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong token")

    return ControlPlane()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policies", type=Path, default=Path(__file__)
                        .with_name("control-plane.yaml"))
    parser.add_argument("--listen", default="127.0.0.1:7443")
    for name in ("cert", "key", "client-ca", "token-file"):
        parser.add_argument("--" + name, type=Path)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        policy_pb2, control_pb2, control_pb2_grpc = make_stubs(folder)
    policies = Policies(arguments.policies, policy_pb2, control_pb2)
    service = make_service(arguments, control_pb2,
                           control_pb2_grpc.ControlPlaneServicer, policies)
    # Each host keeps one of the workers.
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_workers=256),
        options=[("grpc.max_receive_message_length", 16 << 20)])
    control_pb2_grpc.add_ControlPlaneServicer_to_server(service, server)
    if arguments.cert:
        server.add_secure_port(arguments.listen, grpc.ssl_server_credentials(
            [(arguments.key.read_bytes(), arguments.cert.read_bytes())],
            arguments.client_ca and arguments.client_ca.read_bytes(),
            bool(arguments.client_ca)))
    else:
        say("no --cert: plain text, for a first try on one machine only")
        server.add_insecure_port(arguments.listen)
    server.start()
    say("listening on", arguments.listen)
    while True:
        time.sleep(REREAD_S)
        if policies.reread():
            say("new policies")
            for host in list(service.hosts):
                host.update_all()


if __name__ == "__main__":
    main()
