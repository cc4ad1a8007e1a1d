# SPDX-License-Identifier: Apache-2.0
"""Sockets that the calls' hooks see late, by other ways or not at all, sent to
port 53 of a foreign server which the policy's rules open. Judged at that
server: nothing may arrive. Without steering the same attempt does, which shows
that it was steering that stopped it."""

import itertools
import socket
import subprocess
import sys

import pytest
from scapy.all import IP, TCP, fragment

from lab import HERE, Agent, Site, worlds

MPTCP = 262  # IPPROTO_MPTCP
MP_CAPABLE = b"\x1e\x04\x01"  # RFC 8684 3.1
SERVER = {4: "198.51.100.53", 6: "2001:db8:b::53"}
FENCE, FENCE_PORT = "203.0.113.200", 443
FENCES = itertools.cycle(range(61000, 65000))
RULES = f"""
mode: allowlist
cidrs:
  - {{allow: {FENCE}, ports: [{FENCE_PORT}/tcp]}}
  - {{allow: {SERVER[4]}, ports: [53/udp, 53/tcp]}}
  - {{allow: "{SERVER[6]}", ports: [53/udp, 53/tcp]}}
"""
MODES = {
    "allowlist": RULES + "dns: {mode: allowlist, "
    "domains: [{allow: good.test}]}\n",
    "proxy": RULES + "dns: {mode: proxy}\n",
    "disabled": RULES + "dns: {mode: disabled}\n",
    "disabled address": "mode: disabled\ndns: {mode: proxy}\n",
}
OPEN = """
mode: allowlist
dns: {steering: false}
cidrs: [{allow: 0.0.0.0/0}, {allow: "::/0"}]
"""


def calls(what):
    return lambda place, target: place.sender.calls(
        program=place.helper, what=what, target=target, port=53)


def ping(connected):
    return lambda place, target: place.sender.ping_socket(
        target=target, port=53, connected=connected)


def connect_mptcp(place, target):
    return place.sender.tcp(target=target, port=53, protocol=MPTCP)


# What becomes of it at an interface and in a cgroup: it reaches the slot's
# resolver, or this is the reason of its drop.
STEERED = "steered"
WAYS = {
    "io_uring sendmsg": (calls("sendmsg"), STEERED, STEERED),
    "io_uring sendmsg by a worker": (calls("sendmsg-async"), STEERED, STEERED),
    "io_uring send": (calls("send"), STEERED, STEERED),
    "io_uring send by a worker": (calls("send-async"), STEERED, STEERED),
    "io_uring connect": (calls("connect"), STEERED, STEERED),
    "io_uring connect by a worker": (calls("connect-async"), STEERED, STEERED),
    "MPTCP": (connect_mptcp, STEERED, STEERED),
    "ping socket": (ping(False), "no-rule", "no-rule"),
    "connected ping socket": (ping(True), "no-rule", "no-rule"),
}


class Place:
    """A site, what sends in it, and what arrives at the server."""

    def __init__(self, world, kind, helper):
        self.world, self.helper = world, helper
        self.site = Site(world, kind)
        where = ("workload", "agents") if kind == "tc" else ("router", "box")
        world.network.write(where[0], ipv4__ping_group_range="0 2147483647")
        self.sender = self.agent(*where)
        self.source = worlds.WORKLOAD[0] if kind == "tc" else "10.254.2.1"
        self.device = "eth0" if kind == "tc" else "b0"
        self.far = self.agent("b", "agents")
        self.far.record(interface="eth0")

    def agent(self, namespace, cgroup):
        return Agent([*self.world.in_cgroup(cgroup),
                      *self.world.network.enter(namespace)],
                     HERE.parent / "bypass/sender.py")

    def arrived(self):
        """Frames that were at the server before one that is sent now."""
        fence = next(FENCES)
        packet = IP(src=self.source, dst=FENCE) / TCP(
            sport=fence, dport=FENCE_PORT, flags="S")
        self.sender.send_packets(device=self.device,
                                 packets=[bytes(packet).hex()])
        got = self.far.recorded(interface="eth0", fence=fence)
        assert got["fenced"], "the open port cannot be reached"
        frames = [bytes.fromhex(frame["head"]) for frame in got["frames"]]
        return [frame for frame in frames
                if frame[30:34] != socket.inet_aton(FENCE)]

    def count(self):
        shown = self.site.show()
        return {"allowed": int(shown["packets_allowed"]), **{
            entry["reason"]: int(entry["count"])
            for entry in shown["blocked_reasons"]}}

    def end(self):
        self.sender.end()
        self.far.end()


@pytest.fixture(scope="module")
def helper(world):
    """tools/calls.c"""
    program = world.folder / "calls"
    worlds.run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Werror",
               "-o", program, HERE.parent / "tools/calls.c")
    program.chmod(0o755)
    return str(program)


@pytest.fixture(params=["tc", "cgroup"])
def place(request, clean, helper):
    made = Place(clean, request.param, helper)
    yield made
    made.end()


def skip_without_mptcp(place):
    """Asked where it is used: it can be off in one network namespace."""
    done = subprocess.run(
        [*place.world.network.enter("router"), sys.executable, "-c",
         f"import socket; socket.socket(2, 1, {MPTCP})"],
        text=True, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no MPTCP: " + done.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", WAYS)
def test_no_socket_reaches_a_foreign_server(place, way, family):
    send, *fates = WAYS[way]
    fate = fates[place.site.kind == "cgroup"]
    if way == "MPTCP":
        skip_without_mptcp(place)
    place.site.attach(OPEN)
    place.arrived()
    send(place, SERVER[family])
    free = worlds.until(place.arrived, "the attempt itself works")
    if way == "MPTCP":
        assert any(MP_CAPABLE in frame[54:] for frame in free)
    for mode, policy in MODES.items():
        if fate == "no-rule" and "address" in mode:
            continue  # A ping is no query, and nothing else is judged.
        place.site.apply(policy)
        place.arrived()
        before = place.count()
        sent = send(place, SERVER[family])
        sort = "allowed" if fate == STEERED else fate
        # A worker of a ring connects when it comes to it.
        after = worlds.until(
            lambda: (now := place.count()).get(sort, 0) >
            before.get(sort, 0) and now, f"{mode} ({sent}): is {sort}")
        leaked = place.arrived()
        grown = {name: after[name] - before.get(name, 0) for name in after
                 if after[name] != before.get(name, 0)}
        assert not leaked, f"{mode} ({sent}): {[f.hex() for f in leaked]}"
        if fate == STEERED:
            assert set(grown) == {"allowed"}, f"{mode} ({sent}): {grown}"


@pytest.mark.parametrize("policy, passes", [
    (MODES["proxy"], False), (MODES["disabled address"], True),
    (MODES["proxy"] + "audit: true\n", True)])
def test_a_cut_header_goes_where_any_other_port_is_open(place, policy, passes):
    """THREATS.md: what cannot be read is not known for a query."""
    place.site.attach(policy)
    segment = IP(src=place.source, dst=SERVER[4], id=7) / TCP(
        sport=4000, dport=53, flags="S")
    place.arrived()
    place.sender.send_packets(device=place.device, packets=[
        bytes(part).hex() for part in fragment(segment, fragsize=16)])
    assert bool(place.arrived()) == passes
