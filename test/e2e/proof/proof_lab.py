# SPDX-License-Identifier: Apache-2.0
"""What the proofs share: places with traffic that is judged packet by packet.

    workload  ── w0 ┐
    workload1 ── w1 ┼ router c0 ── far   10.40.0.0/16  fd40::/16
    box, box1 (cgroups in the router)

`far` takes what is routed to it, answers nothing, and keeps every datagram of
ours with its time of arrival. A stream sends cycles of datagrams from one CPU;
the last of a cycle is the fence, which every policy allows. So the judgement of
a packet fell between the beginning of its cycle and the arrival of its fence,
and if only one policy was possible all that time, there is only one right
answer, for the packet that arrived as for the one that did not.
"""

import bisect
import collections
import contextlib
import ipaddress
import itertools
import json
import os
import random
import struct
import subprocess
import time
from pathlib import Path

import world as worlds
from world import until

HERE = Path(__file__).resolve().parent
SOAK = os.environ.get("SN_SOAK") == "1"
RECORD = struct.Struct("<IIQQQ")
KEPT, FRESH = 1, 2

Record = collections.namedtuple("Record",
                                "flow style cycle cycle_ns arrived_ns")
# address, port, and the states of the timeline that allow it.
Flow = collections.namedtuple("Flow", "address port allowed_by")

# What would pass if mode, prefix lengths or rules of one were used with those
# of the other is denied by both:
#   10.40.9.1    B's mode (denylist) with A's rules
#   10.40.10.1   A's prefix lengths (/24) with B's rules: the /28 not seen
#   10.40.1.1    ports of A and of B under one key
A_RULES = [
    "allow 10.40.1.0/24 1001/udp", "allow 10.40.3.1",
    "allow fd40:0:0:1::/64 1001/udp", "allow fd40:3::1",
]
B_RULES = [
    "deny 10.40.0.0/16", "allow 10.40.1.0/24 1002/udp", "allow 10.40.3.1",
    "allow 10.40.10.0/24", "deny 10.40.10.0/28",
    "deny fd40::/16", "allow fd40:0:0:1::/64 1002/udp", "allow fd40:3::1",
    "allow fd40:0:0:10::/64", "deny fd40:0:0:10::/80",
]
BOTH, NEVER = {"A", "B"}, set()
FLOWS = [
    Flow("10.40.9.1", 1001, NEVER), Flow("10.40.10.1", 1001, NEVER),
    Flow("10.40.1.1", 1003, NEVER), Flow("fd40:0:0:9::1", 1001, NEVER),
    Flow("fd40:0:0:10::1", 1001, NEVER),
    Flow("10.40.1.1", 1001, {"A"}), Flow("10.40.1.1", 1002, {"B"}),
    Flow("fd40:0:0:1::1", 1001, {"A"}), Flow("fd40:0:0:1::1", 1002, {"B"}),
    Flow("fd40:3::1", 7, BOTH), Flow("10.40.3.1", 7, BOTH),
]


def size(short, long):
    """A count in `make check` and in `make soak`."""
    return long if SOAK else short


def seed(offset=0):
    """SN_TEST_SEED or a fixed one, so that a run can be repeated."""
    return random.Random(int(os.environ.get("SN_TEST_SEED", "4711")) + offset)


def say(text):
    """A result that the long form is run for."""
    if SOAK:
        print(f"\n    {text}", flush=True)


class Timeline:
    """Which states were possible when. A state may be in force from the
    beginning of the call that made it until the end of the next call."""

    def __init__(self, state):
        self.states = [state]
        self.begins = [0]
        self.ends = [0]

    @contextlib.contextmanager
    def change(self, state):
        """Within it, and until somebody knows better, old or new."""
        begin = time.time_ns()
        yield
        self.add(state, begin, time.time_ns())

    def add(self, state, begin, end):
        self.states.append(state)
        self.begins.append(begin)
        self.ends.append(end)

    def between(self, begin, end):
        """The states of a span: one is in force until its successor's call
        has ended."""
        at = bisect.bisect_left(self.ends, begin)
        found = {self.states[at - 1]}
        while at < len(self.states) and self.begins[at] <= end:
            found.add(self.states[at])
            at += 1
        return found


class Stream:
    """A sender at a place and the record of what arrived."""

    def __init__(self, lab, place, flows, styles=KEPT | FRESH, pause_us=150,
                 cycles=0):
        self.lab = lab
        self.flows = flows
        self.styles = [s for s in (0, 1) if styles & 1 << s]
        number = next(lab.numbers)
        self.path = lab.world.folder / f"arrived-{number}"
        self.receiver = lab.run_in("far", "agents", "receive", number, "eth0",
                                   self.path)
        self.sender = None
        assert self.receiver.stdout.readline() == "ready\n"
        self.sender = lab.run_in(place.namespace, place.cgroup, "send",
                                 number, 0, pause_us, cycles, styles)
        self.sender.stdin.write("".join(
            f"{flow.address} {flow.port}\n" for flow in flows) + "\n")
        self.sender.stdin.flush()
        lab.streams.append(self)

    def arrived(self):
        """How many datagrams are on record so far, more or less."""
        return self.path.stat().st_size // RECORD.size

    def flowing(self, more=100):
        """Waits until that many further ones have arrived."""
        before = self.arrived()
        until(lambda: self.arrived() >= before + more, "the stream flows")

    def stop(self):
        """Returns the records and the number of cycles that were sent."""
        self.lab.streams.remove(self)
        out, _ = self.sender.communicate(timeout=60)
        assert self.sender.returncode == 0, out
        self.cycles = int(out.split()[0])
        self.refused = int(out.split()[1])
        out, _ = self.receiver.communicate(
            f"until {self.cycles - 1} {len(self.flows) - 1} "
            f"{self.styles[-1]}\n", timeout=60)
        assert self.receiver.returncode == 0
        has_come, drops = out.split()
        assert drops == "0", f"the receiver missed {drops} packets"
        assert has_come == "1", "the last fence did not arrive"
        data = self.path.read_bytes()
        self.path.unlink()
        return [Record(*fields) for fields in RECORD.iter_unpack(data)]

    def kill(self):
        for child in (self.sender, self.receiver):
            if child and child.poll() is None:
                child.kill()
            if child:
                child.communicate()

    def judge(self, timeline, closes=False):
        """Stops, and asserts that each packet arrived if and only if the
        policy in force allowed it. closes: while states change nothing need
        pass, not even the fence. Returns how many were decided."""
        records = self.stop()
        arrived = {(r.cycle, r.flow, r.style): r for r in records}
        assert len(arrived) == len(records), "a packet arrived twice"
        spans = self.spans(arrived, timeline, closes)
        wrong, decided = [], collections.Counter()
        for cycle, states in spans.items():
            for index, flow in enumerate(self.flows):
                wanted = {index == len(self.flows) - 1 or
                          state in flow.allowed_by for state in states}
                if closes and len(states) > 1:
                    wanted.add(False)
                if len(wanted) > 1:
                    decided["open"] += len(self.styles)
                    continue
                for style in self.styles:
                    came = (cycle, index, style) in arrived
                    decided[came] += 1
                    if came not in wanted:
                        wrong.append((cycle, flow, style, states,
                                      "leak" if came else "loss"))
        assert not wrong, f"{len(wrong)} wrong of {decided}, first " \
            f"{wrong[:5]}\n{self.lab.reasons()}"
        return decided

    def spans(self, arrived, timeline, closes):
        """The states that were possible in each cycle: from its beginning to
        its fence or, if that one was stopped, to the next one's."""
        ends, lost, end = {}, [], None
        begins = {cycle: r.cycle_ns for (cycle, _, _), r in arrived.items()}
        begin = None
        for cycle in reversed(range(self.cycles)):
            fence = arrived.get((cycle, len(self.flows) - 1, self.styles[-1]))
            if fence:
                end = fence.arrived_ns
            else:
                lost.append(cycle)
            ends[cycle] = end
        assert closes or not lost, \
            f"{len(lost)} fences were lost, first {lost[-1]}"
        spans = {}
        for cycle in range(self.cycles):
            # Of a cycle that never arrived: after the one before began.
            begin = begins.get(cycle, begin or 0)
            spans[cycle] = timeline.between(begin, ends[cycle])
        return spans


class Place:
    """Something that can be attached, and where its processes run."""

    def __init__(self, lab, kind, number):
        self.lab = lab
        self.kind = kind
        suffix = str(number) if number else ""
        self.namespace = "workload" + suffix if kind == "tc" else "router"
        self.cgroup = "agents" if kind == "tc" else "box" + suffix
        self.target = f"w{number}" if kind == "tc" else \
            str(lab.world.cgroup(self.cgroup))
        self.id = None

    def attach(self, policy):
        field = "interface_name" if self.kind == "tc" else "cgroup_path"
        self.id = self.lab.api.call("Attach", policy=policy,
                                    mode=policy.mode, audit=policy.audit,
                                    **{field: self.target}).id
        return self.id

    def apply(self, policy):
        return self.lab.api.call("Apply", id=self.id, policy=policy)

    def call(self, method, **fields):
        return self.lab.api.call(method, id=self.id, **fields)

    def detach(self):
        self.lab.api.call("Detach", id=self.id)
        self.id = None

    def stream(self, flows, **options):
        return Stream(self.lab, self, flows, **options)

    def shown(self):
        return self.call("Get").attachment

    def reason(self, name):
        return {entry.reason: entry.count
                for entry in self.shown().blocked_reasons}.get(name, 0)


class Lab:
    def __init__(self, world, make_client):
        self.world = world
        self.network = world.network
        self.make_client = make_client
        self.client = None
        self.streams = []
        self.numbers = itertools.count()
        self.network.add_namespace("far")
        self.network.link("c0", "far", ("10.254.3.1", "fd54:3::1"),
                          ("10.254.3.2", "fd54:3::2"))
        self.network.batch("route add 10.40.0.0/16 via 10.254.3.2\n"
                           "route add fd40::/16 via fd54:3::2\n")
        self.network.add_namespace("workload1")
        self.network.link("w1", "workload1", ("10.11.0.1", "fd11::1"),
                          ("10.11.0.2", "fd11::2"))
        self.program = world.folder / "proof_wire"
        worlds.run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall",
                   "-Werror", "-o", self.program,
                   HERE.parent / "tools/proof_wire.c")

    @property
    def api(self):
        if not self.client:
            self.client = self.make_client()
        return self.client

    def reconnect(self):
        if self.client:
            self.client.close()
        self.client = None

    def place(self, kind, number=0):
        return Place(self, kind, number)

    def run_in(self, namespace, cgroup, *arguments):
        return subprocess.Popen(
            [*self.world.in_cgroup(cgroup), *self.network.enter(namespace),
             str(self.program), *map(str, arguments)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def output_of(self, namespace, cgroup, *arguments, limit_s=120):
        """Runs to its end; the numbers that it printed."""
        child = self.run_in(namespace, cgroup, *arguments)
        try:
            out, _ = child.communicate(timeout=limit_s)
        finally:
            if child.poll() is None:
                child.kill()
                child.communicate()
        assert child.returncode == 0, arguments
        return [int(word) for word in out.split()]

    def policy(self, rules, mode="ALLOWLIST", **fields):
        """rules: "allow 10.0.0.0/8 80/udp 443/tcp", one string each."""
        made = []
        for text in rules:
            verdict, cidr, *ports = text.split()
            made.append(self.api.rule(cidr, verdict.upper(), ports=ports))
        return self.api.make_policy(made, mode, **fields)

    def reasons(self):
        return "\n".join(json.dumps(self.world.show(item["id"]))
                         for item in self.world.ok("list"))

    def stop_streams(self):
        for stream in list(self.streams):
            stream.kill()
            self.streams.remove(stream)

    def end(self):
        self.stop_streams()
        self.reconnect()

    # The kernel's side

    def pin(self, name):
        found = list(self.world.bpffs.rglob(name))
        assert found, f"{name} is not pinned"
        return found[0]

    def pins(self):
        """Names of everything that is pinned."""
        return sorted(str(path.relative_to(self.world.bpffs))
                      for path in self.world.bpffs.rglob("*")
                      if not path.is_dir())

    def bpftool(self, *arguments):
        out = worlds.run("/usr/sbin/bpftool", "-j", *arguments).stdout
        return json.loads(out) if out.strip() else None

    def table(self, name):
        """Keys of one table, as hex bytes."""
        return [bytes(int(byte, 16) for byte in entry["key"]) for entry in
                self.bpftool("map", "dump", "pinned", self.pin(name))
                if "key" in entry and isinstance(entry["key"], list)]

    def links(self):
        """Links of our programs, wherever they are."""
        programs = {entry["id"] for entry in (
            self.bpftool("prog", "show", "pinned", path)
            for path in self.world.bpffs.rglob("sn_*")
            if self.is_program(path))}
        return [entry["id"] for entry in self.bpftool("link", "show")
                if entry.get("prog_id") in programs]

    def is_program(self, path):
        return not path.is_dir() and worlds.run(
            "/usr/sbin/bpftool", "prog", "show", "pinned", path,
            check=False).returncode == 0

    def map_bytes(self):
        """Kernel memory of each pinned map."""
        found = {}
        for path in self.world.bpffs.rglob("sn_*"):
            done = worlds.run("/usr/sbin/bpftool", "-j", "map", "show",
                              "pinned", path, check=False)
            if done.returncode == 0:
                found[path.name] = json.loads(done.stdout)["bytes_memlock"]
        assert found
        return found

    def n_fds(self):
        return {name: len(os.listdir(f"/proc/{daemon.pid}/fd")) for name,
                daemon in (("dp", self.world.dp), ("cp", self.world.cp))}


class Matcher:
    """Rules as said in policy.proto, for one UDP packet."""

    def __init__(self, rules, default):
        self.default = default
        self.rules = []
        for text in rules:
            verdict, cidr, *ports = text.split()
            self.rules.append((ipaddress.ip_network(cidr), verdict == "allow",
                               [self.span(port) for port in ports]))

    @staticmethod
    def span(text):
        number, _, protocol = text.partition("/")
        low, _, high = number.partition("-")
        return int(low), int(high or low), protocol or "udp"

    def allows(self, address, port):
        address = ipaddress.ip_address(address)
        best, verdict = -1, self.default
        for network, allow, spans in self.rules:
            if address.version != network.version or \
                    address not in network or network.prefixlen < best:
                continue
            if spans and not any(low <= port <= high and protocol == "udp"
                                 for low, high, protocol in spans):
                continue
            # Deny wins a tie.
            verdict = allow and (verdict or network.prefixlen > best)
            best = network.prefixlen
        return verdict


def probes(place, tuples, fence, allows):
    """One datagram of each tuple, and one to the fence after them; asserts
    that those and only those arrive that allows(address, port) says."""
    flows = [Flow(address, port, {"now"} if allows(address, port) else set())
             for address, port in tuples]
    flows.append(Flow(*fence, {"now"}))
    return place.stream(flows, styles=FRESH, cycles=1).judge(Timeline("now"))
