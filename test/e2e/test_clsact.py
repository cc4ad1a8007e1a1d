# SPDX-License-Identifier: Apache-2.0
"""Filters on a clsact qdisc, as kernels below 6.6 have them, instead of TCX
links: the same promises hold."""

import json

from test_attach import gaps, running_stream, sent
from traffic import A, A_DENIED, B, each
from world import until

WORLD = {"dp_options": ["--tc", "clsact"]}
DROP_ALL = "1,6 0 0 2"  # one instruction: return TC_ACT_SHOT
POLICY = """
cidrs:
  - allow: 10.20.0.0/16
  - deny: 10.20.9.0/24
  - allow: fd20::/16
  - deny: fd20:1:9::/48
"""


def judge_policy(target):
    target.judge(each(A, True) + each(A_DENIED, False) + each(B, False))


def qdiscs(world):
    """Kinds of the queueing disciplines on the interface."""
    done = world.network.tc("-j", "qdisc", "show", "dev", "w0")
    return [entry["kind"] for entry in json.loads(done.stdout)]


def filters(world):
    return [line for side in ("ingress", "egress") for line in
            world.network.tc("filter", "show", "dev", "w0",
                             side).stdout.splitlines()]


def test_policy_is_enforced_and_detaching_leaves_nothing(interface):
    interface.attach(policy=POLICY)
    assert "clsact" in qdiscs(interface.world)
    assert filters(interface.world)
    judge_policy(interface)
    interface.world.ok("detach", interface.id)
    interface.judge(each(A, True) + each(B, True))
    assert filters(interface.world) == []


def test_closed_from_the_first_moment(interface):
    with running_stream(interface) as arrived:
        interface.attach(policy="cidrs:\n  - allow: 10.30.0.0/16\n")
        mark = sent(interface)
        until(lambda: sent(interface) > mark + 200, "the stream tries on")
        assert gaps(arrived()) == [] and arrived()[-1] <= mark


def test_kill_and_adopt(interface):
    interface.attach(policy=POLICY)
    world = interface.world
    world.kill_cp()
    world.kill_dp()
    judge_policy(interface)
    world.ensure_daemons()
    judge_policy(interface)
    world.ok("allow", interface.id, "10.30.0.0/16")
    interface.judge(each(B, True, families=(4,)))
    world.ok("detach", interface.id)
    assert filters(world) == []


def test_foreign_filter_survives(interface):
    """What others put on the interface is neither removed nor skipped."""
    network = interface.world.network
    network.tc("qdisc", "replace", "dev", "w0", "clsact")
    network.tc("filter", "add", "dev", "w0", "ingress", "protocol", "ip",
               "pref", "77", "bpf", "direct-action", "bytecode",
               DROP_ALL)
    try:
        interface.attach("--mode", "denylist")
        interface.judge(each(A, False, families=(4,)))
        interface.world.ok("detach", interface.id)
        assert any("pref 77" in line for line in filters(interface.world))
    finally:
        network.tc("qdisc", "delete", "dev", "w0", "clsact")
    interface.judge(each(A, True))
