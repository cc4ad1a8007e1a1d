# SPDX-License-Identifier: Apache-2.0
"""One tenant floods the flow tables, four times over; the other one notices
nothing. The victim's rule has lapsed before the flood begins, so that its
connections live on their entries alone: one that the flood displaced would end
its connection."""

import json

import pytest

from proof_lab import Flow, Timeline, say, size
from traffic import A, passes
from world import until

TABLE, QUOTA = size(4096, 1 << 19), size(1024, 1 << 16)
WORLD = {
    "dp_options": ("--flows", TABLE, "--flows-new", TABLE, "--slots", 64),
    "config": f"limits:\n  flows_per_attachment: {QUOTA}\n",
}
COUNT = 4 * 2 * TABLE
STEADY = Flow("10.40.3.1", 7, {"now"})
BUSY = ("tcp0", "udp0")
# These do nothing while the flood lasts: the first that a table would drop.
QUIET = [f"{protocol}{number}" for protocol in ("tcp", "udp")
         for number in range(1, 21)]


class Victim:
    """Connections that rest on a rule which has lapsed, and a stream that
    nobody answers."""

    def __init__(self, place):
        self.place = place
        network = place.lab.network
        if place.kind == "cgroup" and not hasattr(network, "box"):
            network.box = network.agent("router", "box")
        self.client = network.workload if place.kind == "tc" else network.box
        place.attach(place.lab.policy([f"allow {STEADY.address}"]))
        place.call("AllowCIDR", cidr=A[4], ttl_seconds=3600)
        for name in (*BUSY, *QUIET):
            self.client.open(name=name, protocol=name[:3], target=A[4],
                             port=80)
        self.exchange((*BUSY, *QUIET))
        place.call("AllowCIDR", cidr=A[4], ttl_seconds=1)
        until(lambda: self.is_lapsed(443), "the rule lapses")
        self.exchange()

    def is_lapsed(self, port):
        """By a port that was never open."""
        return not passes(self.place.lab.network, self.client, A[4], port)

    def exchange(self, names=BUSY):
        for name in names:
            assert self.client.exchange(name=name) == "ok", name

    def close(self):
        for name in (*BUSY, *QUIET):
            self.client.close(name=name)


def counted(place):
    """Packets that the link carried (TC), and what the attachment counts."""
    item = place.shown()
    reasons = {entry.reason: entry.count for entry in item.blocked_reasons}
    carried = 0
    if place.kind == "tc":
        shown = json.loads(place.lab.network.ip(
            "-j", "-s", "link", "show", place.target).stdout)[0]["stats64"]
        carried = shown["rx"]["packets"] + shown["tx"]["packets"]
    return item.packets_allowed, item.packets_blocked, reasons, carried


def flood(place, kind, count=COUNT, meanwhile=None):
    """Floods from the place, calling meanwhile() until it is over."""
    lab = place.lab
    reflector = None
    if kind == "pair":
        reflector = lab.run_in("far", "agents", "reflect", "eth0")
        assert reflector.stdout.readline() == "ready\n"
    child = lab.run_in(place.namespace, place.cgroup, "flood", kind,
                       0, 0, count)
    try:
        rounds = 0
        while child.poll() is None:
            if meanwhile:
                meanwhile()
            rounds += 1
        out, _ = child.communicate()
        assert child.returncode == 0
        if reflector:
            reflector.communicate()
            assert reflector.returncode == 0
        return [int(word) for word in out.split()], rounds
    finally:
        for one in (child, reflector):
            if one and one.poll() is None:
                one.kill()
                one.communicate()


@pytest.mark.parametrize("kind", ["syn", "udp", "pair"])
def test_flood_of_one_tenant_costs_another_nothing(place, kind):
    lab = place.lab
    flooder = lab.place(place.kind, 1)
    flooder.attach(lab.policy([], "DENYLIST"))
    victim = Victim(place)
    steady = place.stream([STEADY], pause_us=1000)
    before_bytes, before = lab.map_bytes(), counted(flooder)

    (sent, refused, answers), rounds = flood(flooder, kind,
                                             meanwhile=victim.exchange)
    assert sent == COUNT and refused == 0 and rounds > 0
    victim.exchange((*BUSY, *QUIET))
    assert victim.is_lapsed(5300)
    assert steady.judge(Timeline("now"))[True] > 100

    # Memory: the tables are as large as they were, the quota held.
    after_bytes = lab.map_bytes()
    for name in ("sn_flows", "sn_flows_new", "sn_denied", "sn_events"):
        assert after_bytes[name] == before_bytes[name], name
    if kind == "pair":
        # Those that come when their flow is gone do not pass.
        assert answers > COUNT // 2
    if not size(False, True):
        slots = [key[0] for key in lab.table("sn_flows")]
        assert all(slots.count(slot) <= QUOTA for slot in set(slots))
        assert len(lab.table("sn_flows_new")) <= TABLE

    # Counters: each packet once.
    allowed, blocked, reasons, carried = counted(flooder)
    inbound = reasons.get("inbound", 0)
    assert blocked == inbound
    if kind != "pair":
        assert (allowed - before[0], blocked, answers) == (COUNT, 0, 0)
    elif place.kind == "tc":
        assert allowed - before[0] == carried - before[3]
    else:
        assert allowed - before[0] == sent + answers
    say(f"{place.kind} {kind}: {sent} flows into 2 x {TABLE} entries, "
        f"{answers} answers, {inbound} answers too late; the victim exchanged "
        f"{rounds} times")
    victim.close()
