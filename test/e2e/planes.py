# SPDX-License-Identifier: Apache-2.0
"""The test's end of a scripted control plane (plane.py): what has come so far,
waiting for more, and commands."""

import ipaddress
import itertools
import json
import subprocess
import sys
import threading
import time

import dp_client
from world import HERE, LIMIT_S, run, until

PORT = 7443
# Short timers, so that a test sees in seconds what takes a minute outside, and
# long enough for a peer in Python that reads 40 MiB on a busy machine.
TIMERS = """
  heartbeat: 300ms
  keepalive: 400ms
  keepalive_timeout: 2s
  sync_timeout: 2s
  reconnect_min: 50ms
  reconnect_max: 200ms
"""
PLAIN = f"""
control:
  urls: ["http://127.0.0.1:{PORT}"]
  insecure: true
""" + TIMERS


def with_keepalive(time):
    """For peers that are busy, or refuse pings, for so long."""
    return PLAIN.replace("keepalive: 400ms", f"keepalive: {time}").replace(
        "keepalive_timeout: 2s", f"keepalive_timeout: {time}")


class Plane:
    def __init__(self, world, stubs, namespace="router", *options,
                 listen=f"127.0.0.1:{PORT}"):
        self.world = world
        self.pb = stubs["control_pb2"]
        self.policy = stubs["policy_pb2"]
        self.options = (namespace, listen, options)
        self.numbers = itertools.count(1)
        self.child = self.reader = None
        self.start()

    def start(self):
        namespace, listen, options = self.options
        self.lines, self.events, self.opens = [], [], []
        self.queries = []
        self.changed = threading.Condition()
        self.child = subprocess.Popen(
            [*self.world.in_cgroup("daemons"),
             *self.world.network.enter(namespace), "setpriv",
             "--pdeathsig=KILL", *self.command(listen, options)], text=True,
            bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert json.loads(self.child.stdout.readline()) == {"ready": True}
        self.reader = threading.Thread(target=self.read, args=[self.child],
                                       daemon=True)
        self.reader.start()

    def command(self, listen, options):
        return [sys.executable, str(HERE / "plane.py"), "--listen", listen,
                *map(str, options)]

    def read(self, child):
        for line in child.stdout:
            self.take(json.loads(line))

    def take(self, entry):
        with self.changed:
            if "open" in entry:
                self.opens.append(entry["metadata"])
            elif "message" in entry:
                event = self.pb.DaemonEvent.FromString(
                    bytes.fromhex(entry["message"]))
                kind = event.WhichOneof("event")
                self.events.append((entry["stream"], kind,
                                    getattr(event, kind)))
            self.changed.notify_all()

    def wait(self, find, what, limit_s=LIMIT_S):
        deadline = time.monotonic() + limit_s
        with self.changed:
            while True:
                found = find()
                if found:
                    return found
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise AssertionError(
                        f"not within {limit_s:.0f} s: {what}; heard "
                        f"{[kind for _, kind, _ in self.events[-20:]]}")
                self.changed.wait(left_s)

    def all(self, kind, stream=None):
        return [event for at, what, event in list(self.events)
                if what == kind and stream in (None, at)]

    def event(self, kind, matches=lambda event: True, **wait):
        """The first event of the kind that matches."""
        return self.wait(lambda: next(
            (event for event in self.all(kind) if matches(event)), None),
            kind, **wait)

    # What a control plane says

    def send_raw(self, data):
        self.child.stdin.write(json.dumps({"send": data.hex()}) + "\n")
        self.child.stdin.flush()

    def make(self, ident="", revision=0, **command):
        return self.pb.ControlCommand(command_id=f"c{next(self.numbers)}",
                                      id=ident, revision=revision, **command)

    def send(self, ident="", revision=0, **command):
        """Returns the command's id."""
        message = self.make(ident, revision, **command)
        self.send_raw(message.SerializeToString())
        return message.command_id

    def has_result(self, command_id):
        return any(event.command_id == command_id
                   for event in self.all("command_result"))

    def result(self, command_id, **wait):
        return self.event("command_result",
                          lambda event: event.command_id == command_id, **wait)

    def do(self, ident, revision, **command):
        """Sends a command that must succeed; returns its result."""
        result = self.result(self.send(ident, revision, **command))
        assert result.success and not result.error, result
        return result

    def refused(self, *texts, **command):
        result = self.result(self.send(**command))
        assert not result.success
        for text in texts:
            assert text in result.error, result
        return result

    def sync(self, n_streams=1):
        """Waits for that many streams and acknowledges the newest; returns
        its SyncRequest's attachments by id. sync_timeout is short: when it is
        over before we came to answer, there is another stream."""
        def complete():
            parts = self.all("sync_request", len(self.opens))
            return len(self.opens) >= n_streams and parts and \
                not parts[-1].more and parts

        for _ in range(20):
            parts = self.wait(complete,
                              f"stream {n_streams} with its SyncRequest")
            n_streams = len(self.opens) + 1
            ack = self.send(sync_ack=self.pb.SyncAck())
            self.wait(lambda: self.has_result(ack) or
                      len(self.opens) >= n_streams, "an answer to SyncAck")
            if self.has_result(ack):
                break
        assert self.result(ack).success
        return {one.id: one for part in parts for one in part.attachments}

    def bulk(self, cidrs=(), mode="ALLOWLIST", dns=True, **fields):
        update = self.pb.BulkUpdate(
            mode=getattr(self.policy, "MODE_" + mode),
            cidrs=[one if not isinstance(one, str) else self.rule(one)
                   for one in cidrs], **fields)
        if dns:
            update.dns.SetInParent()
        return update

    def rule(self, cidr, verdict="ALLOW", **fields):
        return self.policy.Rule(
            verdict=getattr(self.policy, "VERDICT_" + verdict), cidr=cidr,
            **fields)

    def end_stream(self, code=1):
        self.child.stdin.write(json.dumps({"end": code}) + "\n")
        self.child.stdin.flush()

    def kill(self):
        self.child.kill()
        self.child.wait()
        self.reader.join()
        self.child.stdin.close()
        self.child = None

    def close(self):
        if self.child:
            self.kill()


def take_over(plane, world, target, revision=1, local=None, **policy):
    """Attaches the target with the control plane's first policy; returns the
    id. Attach answers once that policy is in force."""
    before = len(plane.all("subscribed"))
    child = threading.Thread(target=target.attach, kwargs={"policy": local})
    child.start()
    plane.wait(lambda: len(plane.all("subscribed")) > before, "subscribed")
    ident = plane.all("subscribed")[before].attachment.id
    plane.do(ident, revision, subscribed_ack=plane.pb.SubscribedAck(
        policy=plane.bulk(**policy)))
    child.join(LIMIT_S)
    assert target.id == ident
    return ident


def is_synced(world):
    status = world.ok("status")["control_plane"]
    return status["state"] == "synced"


def until_synced(world):
    until(lambda: is_synced(world), "the stream is synced")


def kernel_rules(world):
    """What stands in the kernel's table of rules, by slot and generation:
    {(slot, generation): {"10.0.0.0/8": {(verdict, protocol, low, high)}}}."""
    path = next(world.bpffs.rglob("sn_rules"))
    entries = json.loads(run("/usr/sbin/bpftool", "-j", "map", "dump",
                             "pinned", path).stdout)
    found = {}
    for entry in entries:
        if "error" in entry["value"]:
            continue  # swept while it was read
        key, value = (bytes(int(byte, 16) for byte in entry[part])
                      for part in ("key", "value"))
        slot, generation, address, family, length = \
            dp_client.RULE_KEY.unpack(key)
        address = ipaddress.ip_address(address[:4 if family == 4 else 16])
        items = set()
        for i in range(dp_client.VALUE_HEAD.unpack_from(value)[3]):
            word, _, low, high = dp_client.ITEM.unpack_from(
                value, dp_client.VALUE_HEAD.size + i * dp_client.ITEM.size)
            items.add((word >> 56, word >> 48 & 255, low, high))
        found.setdefault((slot, generation), {})[f"{address}/{length}"] = items
    return found


def kernel_becomes(world, wanted, **limit):
    """Waits until the kernel has exactly these rules of the one attachment:
    {cidr: verdict}, for every protocol and port."""
    state = {}

    def equal():
        state["now"] = kernel_rules(world)
        tables = list(state["now"].values())
        return tables == ([{cidr: {(verdict, 0, 0, 65535)}
                            for cidr, verdict in wanted.items()}]
                          if wanted else [])

    try:
        until(equal, "the kernel has the model", pause_s=0.1, **limit)
    except AssertionError:
        assert len(state["now"]) == 1, list(state["now"])
        now = next(iter(state["now"].values()))
        assert {cidr: {item[0] for item in items}
                for cidr, items in now.items()} == \
            {cidr: {verdict} for cidr, verdict in wanted.items()}
        raise
