# SPDX-License-Identifier: Apache-2.0
"""Attachments come and go and leave nothing: no pin, link, map entry, fd or
storage, and no verdict of a former owner of the slot."""

import shutil

import grpc
import pytest

from proof_lab import FRESH, KEPT, Flow, Matcher, Timeline, probes, say, size
from world import until

# Slot 0 is nobody's; two are given out, in turn.
WORLD = {"dp_options": ("--slots", 3),
         "config": "state:\n  group_interval: 0s\n"}
CYCLES = size(50, 5000)
FENCE = ("10.40.3.1", 7)
RULES = [f"allow {FENCE[0]}", "allow 10.40.1.0/24", "allow fd40::/64",
         *(f"deny 10.40.64.0/{length}" for length in range(18, 25))]


class Short:
    """Targets that live for one cycle."""

    def __init__(self, lab, kind):
        self.lab = lab
        self.kind = kind

    def make(self, number):
        place = self.lab.place(self.kind, 1)
        if self.kind == "cgroup":
            place.target = str(self.lab.world.cgroup(f"short{number}"))
        elif number % 5 == 0:
            place.target = "s0"
            self.lab.network.ip("link", "add", "s0", "type", "veth", "peer",
                                "name", "s1")
            self.lab.network.batch("link set s0 up\nlink set s1 up\n")
        return place

    def drop(self, place):
        if self.kind == "cgroup":
            shutil.os.rmdir(place.target)
        elif place.target == "s0":
            self.lab.network.ip("link", "delete", "s0")


def when_free(call):
    """Two slots, and those that were given back have to be swept first."""
    def attempt():
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            return None
    return until(attempt, "a slot is free")


def left_behind(lab):
    return {"pins": lab.pins(), "links": lab.links(), "fds": lab.n_fds(),
            **{name: lab.table(name) for name in
               ("sn_ifaces", "sn_rules", "sn_prefixes", "sn_flows",
                "sn_flows_new", "sn_cgroups")}}


@pytest.mark.parametrize("kind", ["tc", "cgroup"])
def test_attach_and_detach_leave_nothing(free, kind):
    """Every seventh target goes away by itself, without a detach."""
    lab = free
    short = Short(lab, kind)
    policy = lab.policy(RULES)
    links = lab.links()
    # Whatever is made once, is made now.
    place = short.make(1)
    place.attach(policy)
    place.detach()
    short.drop(place)

    def is_still():
        return lab.links() == links and not lab.table("sn_ifaces") and \
            not lab.table("sn_rules")

    until(is_still, "the first one is gone")
    before = left_behind(lab)
    for number in range(CYCLES):
        place = short.make(number)
        when_free(lambda: place.attach(policy))
        if number % 7 or place.target == "w1":
            place.detach()
            short.drop(place)
        else:
            short.drop(place)
            until(lambda: not lab.api.call("List").attachments,
                  "the attachment ends with its target")
    state = {}

    def is_clean():
        state["after"] = left_behind(lab)
        return state["after"] == before

    try:
        until(is_clean, "nothing is left behind")
    except AssertionError:
        assert state["after"] == before
        raise
    say(f"{kind}: {CYCLES} cycles, {len(before['pins'])} pins, "
        f"fds {before['fds']} as before")


@pytest.mark.parametrize("kind", ["tc", "cgroup"])
def test_slots_come_back_clean(free, kind):
    """The next owner of a slot, with the same addresses and ports, profits
    from no flow, rule or mode of the one before."""
    lab = free
    flows = [Flow("10.40.1.1", 1001, {"first"}), Flow("fd40::1", 7, {"first"}),
             Flow("10.40.20.1", 9, {"first"}), Flow(*FENCE, {"first"})]
    first_policy = lab.policy([], "DENYLIST")
    closed = lab.policy([f"allow {FENCE[0]}"])
    seen = set()
    for _ in range(size(6, 100)):
        # The same place, so that addresses and ports, and so the keys of the
        # flows, are the same.
        owner = lab.place(kind, 0)
        when_free(lambda: owner.attach(first_policy))
        slot = slot_of(lab)
        owner.stream(flows, styles=KEPT | FRESH, pause_us=0,
                     cycles=5).judge(Timeline("first"))
        owner.detach()
        while True:
            when_free(lambda: owner.attach(closed))
            heir_slot = slot_of(lab)
            owner.stream(flows, styles=KEPT | FRESH, pause_us=0,
                         cycles=5).judge(Timeline("heir"))
            owner.detach()
            if heir_slot == slot:
                break
        seen.add(slot)
    assert seen == {1, 2}


def slot_of(lab):
    """The slot of the only attachment, by its rules or its word."""
    words = lab.bpftool("map", "dump", "pinned", lab.pin("sn_words"))
    used = [number for number, word in enumerate(words)
            if any(int(byte, 16) for byte in word["value"])]
    assert len(used) == 1, used
    return used[0]


@pytest.mark.parametrize("kind", ["tc", "cgroup"])
def test_no_moment_of_a_former_policy(free, kind):
    """Traffic runs while an allow-all owner and a closed one take turns; only
    between them, when nothing is attached, and under the first may it pass."""
    lab = free
    timeline = Timeline("none")
    place = lab.place(kind, 0)
    stream = place.stream([Flow("10.40.1.1", 1001, {"none", "open"}),
                           Flow("10.40.20.1", 9, {"none", "open"}),
                           Flow(*FENCE, set())])
    policies = {"open": lab.policy([], "DENYLIST"),
                "closed": lab.policy([f"allow {FENCE[0]}"], "ALLOWLIST")}
    for number in range(size(10, 250)):
        name = ("open", "closed")[number % 2]
        # From attach to its policy nothing passes, the fence neither.
        place = lab.place(kind, 0)
        with timeline.change(name):
            when_free(lambda: place.attach(policies[name]))
        stream.flowing(30)
        with timeline.change("none"):
            place.detach()
        stream.flowing(30)
    decided = stream.judge(timeline, closes=True)
    assert decided[True] > 100 and decided[False] > 100


def test_probes_after_churn(free):
    """Both slots in use after all that: each judges by its own rules."""
    lab = free
    places = [lab.place("tc", 0), lab.place("cgroup", 0)]
    rules = [RULES, [f"allow {FENCE[0]}", "allow 10.40.2.0/24"]]
    for place, own in zip(places, rules):
        when_free(lambda: place.attach(lab.policy(own)))
    tuples = [(f"10.40.{n % 4}.{n}", 1 + n) for n in range(1, 100)]
    for place, own in zip(places, rules):
        probes(place, tuples, FENCE, Matcher(own, False).allows)
