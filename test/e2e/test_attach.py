# SPDX-License-Identifier: Apache-2.0
"""Attaching under traffic, detaching, and targets that vanish."""

import contextlib
import os
import time

import pytest

from traffic import A, B, each
from world import SINK_PORT, until

OPEN = "cidrs:\n  - allow: 0.0.0.0/0\n  - allow: ::/0\n"
GONE_S = 1.0


def links(world):
    folder = world.bpffs / "links"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


@contextlib.contextmanager
def running_stream(target, address=A[4]):
    """Numbered datagrams to server a; gives a call that returns the numbers
    that arrived there."""
    target.world.network.forget()
    server = target.world.network.a
    source = target.client.stream(name="s", protocol="udp", target=address,
                                  port=SINK_PORT, pause_s=0.0001)

    def arrived():
        return [number for number, _ in server.sunk(port=source[1])]

    try:
        until(lambda: len(arrived()) > 50, "the stream runs")
        yield arrived
    finally:
        target.client.stop(name="s")


def sent(target):
    return target.client.streaming(name="s")["sent"]


def gaps(numbers):
    return [(low, high) for low, high in zip(numbers, numbers[1:])
            if high != low + 1]


@pytest.mark.parametrize("family", [4, 6])
def test_closed_from_the_first_moment(target, family):
    """What arrived is everything up to one moment and nothing after it: at no
    time between two steps of attaching did a packet slip through."""
    with running_stream(target, A[family]) as arrived:
        target.attach(policy="cidrs:\n  - allow: 10.30.0.0/16\n")
        mark = sent(target)
        until(lambda: sent(target) > mark + 200, "the stream tries on")
        numbers = arrived()
        assert numbers == list(range(1, len(numbers) + 1))
        assert numbers[-1] <= mark
        assert target.counted()["packets_blocked"] >= 200


def test_closed_until_the_policy_is_in_force(target):
    """A policy that allows the stream too begins with a closed moment, one,
    which may be shorter than the time between two datagrams."""
    n_gaps = 0
    for _ in range(8):
        with running_stream(target) as arrived:
            target.attach(policy=OPEN)
            mark = sent(target)
            until(lambda: (arrived() or [0])[-1] > mark + 20,
                  "the stream is open again")
            found = gaps(arrived())
            assert len(found) <= 1
            n_gaps += len(found)
            missing = sum(high - low - 1 for low, high in found)
            assert target.world.reasons(target.id).get("no-policy", 0) <= \
                missing
        target.world.ok("detach", target.id)
    assert n_gaps


def test_disabled_attaches_without_a_closed_moment(target):
    with running_stream(target) as arrived:
        target.attach("--mode", "disabled")
        mark = sent(target)
        until(lambda: (arrived() or [0])[-1] > mark + 50, "the stream goes on")
        assert gaps(arrived()) == []


def test_a_change_of_policy_loses_no_allowed_packet(target):
    """Whole policies are exchanged under traffic that each of them allows."""
    target.attach(policy=OPEN)
    with running_stream(target) as arrived:
        for turn in range(20):
            target.apply(OPEN if turn % 2 else
                         "cidrs:\n  - allow: 10.20.0.0/16\n"
                         "  - deny: 10.30.0.0/16\n")
        mark = sent(target)
        until(lambda: arrived()[-1] > mark, "the stream goes on")
        assert gaps(arrived()) == []


def test_detach_opens_and_leaves_nothing_pinned(target):
    target.attach()
    assert links(target.world)
    target.judge(each(A, False, ("udp",)))
    target.world.ok("detach", target.id)
    target.judge(each(A, True) + each(B, True))
    assert links(target.world) == []
    assert target.world.ok("list") == []
    assert target.world.ctl("show", target.id).code == 1


def test_metadata_and_role_are_kept(interface):
    interface.attach("--meta", "tenant=blue", "--meta", "vm=17",
                     "--role", "workload")
    item = interface.show()
    assert item["metadata"] == {"tenant": "blue", "vm": "17"}
    assert (item["target"], item["type"], item["role"]) == \
        ("w0", "tc", "workload")
    assert abs(item["attached_at"] - time.time()) < 30
    assert item["state"] == "enforced"


class Spare:
    """A second workload whose interface a test may take away."""

    def __init__(self, world):
        self.world = world
        self.network = world.network
        self.network.add_namespace("spare")
        self.make()
        self.agent = self.network.agent("spare")

    def make(self):
        self.network.link("s0", "spare", ("10.11.0.1", "fd11::1"),
                          ("10.11.0.2", "fd11::2"))

    def index(self):
        path = self.network.ip("-o", "link", "show", "s0").stdout
        return int(path.split(":")[0])

    def reaches(self, wanted):
        answers = self.agent.probe(
            probes=[["udp", A[family], 80, wanted] for family in (4, 6)],
            grace_s=0.1)
        return {answer["result"] for answer in answers} == \
            {"ok" if wanted else "timeout"}

    def end(self):
        self.agent.end()
        self.network.ip("link", "delete", "s0", check=False)
        self.network.remove_namespace("spare")


@pytest.fixture
def spare(clean):
    made = Spare(clean)
    yield made
    made.end()


def gone_soon(world, ident):
    """The attachment ends within a second, and nothing stays pinned."""
    until(lambda: ident not in [i["id"] for i in world.ok("list")],
          "the attachment has ended", limit_s=GONE_S)
    until(lambda: not links(world), "no link is pinned", limit_s=GONE_S)


def test_deleted_interface(spare):
    ident = spare.world.attach("s0")
    assert spare.reaches(False)
    spare.network.ip("link", "delete", "s0")
    gone_soon(spare.world, ident)


@pytest.mark.parametrize("same_index", [False, True])
def test_interface_made_again_at_once(spare, same_index):
    """The new one has the old name, perhaps the old index, and no policy."""
    ident = spare.world.attach("s0")
    assert spare.reaches(False)
    index = spare.index()
    lines = "link delete s0\nlink add s0 " + \
        (f"index {index} " if same_index else "") + \
        f"type veth peer name eth0 netns {spare.network.namespace('spare')}\n"
    spare.network.batch(lines)
    assert (spare.index() == index) == same_index
    gone_soon(spare.world, ident)
    spare.network.ip("link", "delete", "s0")
    spare.make()
    assert spare.reaches(True)
    assert spare.world.ok("list") == []


def test_interface_moved_to_another_namespace(spare):
    ident = spare.world.attach("s0")
    spare.network.ip("link", "set", "s0", "netns",
                     spare.network.namespace("b"))
    gone_soon(spare.world, ident)
    spare.network.ip("link", "delete", "s0", namespace="b")


def test_renamed_interface_keeps_its_policy(spare):
    ident = spare.world.attach("s0")
    for old, new in (("s0", "s1"), ("s1", "s0")):
        spare.network.batch(f"link set {old} down\n"
                            f"link set {old} name {new}\nlink set {new} up\n")
        until(lambda: spare.world.show(ident)["target"] == new,
              "the new name is shown")
    assert spare.world.show(ident)["state"] == "enforced"


def test_namespace_of_the_workload_removed(spare):
    """A veth goes with its peer's namespace."""
    ident = spare.world.attach("s0")
    spare.agent.end()
    spare.network.remove_namespace("spare")
    # The kernel does that in its own time.
    until(lambda: spare.network.ip("link", "show", "s0",
                                   check=False).returncode, "the veth is gone")
    gone_soon(spare.world, ident)
    spare.network.add_namespace("spare")
    spare.make()
    spare.agent = spare.network.agent("spare")
    assert spare.reaches(True)


@pytest.mark.parametrize("again", [False, True])
def test_removed_cgroup(clean, again):
    path = clean.cgroup("short")
    ident = clean.attach(path)
    path.rmdir()
    if again:
        path.mkdir()
    gone_soon(clean, ident)
    if not again:
        return
    agent = clean.network.agent("router", "short")
    try:
        answers = agent.probe(probes=[["tcp", A[4], 80, True],
                                      ["udp", B[6], 80, True]], grace_s=0.1)
        assert {answer["result"] for answer in answers} == {"ok"}
    finally:
        agent.end()
    assert clean.ok("list") == []
    # The same path may be attached again.
    assert clean.attach(path) != ident


def test_cgroup_removed_with_its_parent(clean):
    clean.cgroup("outer")
    path = clean.cgroup("outer/short")
    ident = clean.attach(path)
    path.rmdir()
    path.parent.rmdir()
    gone_soon(clean, ident)


def test_target_that_vanishes_while_cp_is_dead(spare):
    ident = spare.world.attach("s0")
    spare.world.kill_cp()
    spare.network.ip("link", "delete", "s0")
    spare.make()
    spare.world.start_cp()
    listed = {item["id"]: item["state"] for item in spare.world.ok("list")}
    # Known from the state file, so that it is taken up again, closed, by name.
    if ident in listed:
        until(lambda: spare.world.show(ident)["state"] == "enforced",
              "the target is attached again")
        assert spare.reaches(False)
    else:
        assert links(spare.world) == []
