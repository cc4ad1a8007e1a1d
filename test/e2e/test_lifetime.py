# SPDX-License-Identifier: Apache-2.0
"""When a verdict ends: TTLs, with the daemons alive and dead, and revocation
in the middle of a transfer."""

import time

import pytest

from traffic import A, B, each, passes
from world import SINK_PORT, until

FAMILIES = pytest.mark.parametrize("family", [4, 6])
WIDE = "cidrs:\n  - allow: 10.20.0.0/16\n  - allow: fd20::/16\n"


def is_open(target, address):
    """By a port that no flow which goes on is of."""
    return passes(target.world.network, target.client, address, 443)


@FAMILIES
def test_ttl_ends_with_both_daemons_dead(target, family):
    """New flows end on time, what was established goes on."""
    target.attach(policy=f"cidrs:\n  - {{allow: '{B[family]}', ttl: 1h}}\n")
    client, world = target.client, target.world
    for protocol in ("tcp", "udp"):
        client.open(name=protocol + "-long", protocol=protocol,
                    target=B[family], port=80)
    world.ok("allow", target.id, A[family], "--ttl", "1h")
    target.judge(each(A, True, families=(family,)))
    for protocol in ("tcp", "udp"):
        client.open(name=protocol, protocol=protocol, target=A[family],
                    port=80)
        assert client.exchange(name=protocol) == "ok"
    began = time.monotonic()
    world.ok("allow", target.id, A[family], "--ttl", "2s")
    done = time.monotonic()
    # By the rule that lapses.
    client.open(name="brief", protocol="udp", target=A[family], port=80)
    assert client.exchange(name="brief") == "ok"
    world.kill_cp()
    world.kill_dp()

    was_open = []

    def is_lapsed():
        tried = time.monotonic()
        if not is_open(target, A[family]):
            return True
        was_open.append(tried)
        return False

    until(is_lapsed, "the TTL has ended")
    ended = time.monotonic()
    assert was_open and ended - began > 2.0
    assert was_open[-1] - done < 2.0 + 0.1
    answers = client.probe(
        probes=[[protocol, A[family], 80 if protocol != "icmp" else 0, False]
                for protocol in ("tcp", "udp", "icmp")], grace_s=0.1)
    assert {answer["result"] for answer in answers} == {target.refusal}
    for name in ("tcp", "udp", "brief", "tcp-long", "udp-long"):
        assert client.exchange(name=name) == "ok", name
        client.close(name=name)

    world.ensure_daemons()
    assert [rule["cidr"].split("/")[0] for rule in
            world.ok("rules", target.id)] == [B[family]]
    target.judge(each(A, False, families=(family,)) +
                 each(B, True, families=(family,)))


def test_lapsed_deny_opens_again(target):
    """A deny with a TTL is an interruption."""
    target.attach(policy=WIDE)
    target.world.ok("deny", target.id, A[4], "--ttl", "3s")
    assert not is_open(target, A[4])
    until(lambda: is_open(target, A[4]), "the deny has ended")
    assert len(target.world.ok("rules", target.id)) == 2


def test_ttl_is_shown_and_renewed(target):
    target.attach()
    world = target.world
    assert not world.ok("allow", target.id, A[4], "--ttl", "60s")["replaced"]
    rule = world.ok("rules", target.id)[0]
    assert rule["ttl_seconds"] == 60 and 50 < rule["remaining_seconds"] <= 60
    again = world.ok("allow", target.id, A[4], "--ttl", "1h")
    assert again["replaced"] and again["rule_id"] == rule["id"]
    rule = world.ok("rules", target.id)[0]
    assert rule["ttl_seconds"] == 3600
    assert 3590 < rule["remaining_seconds"] <= 3600
    world.ok("allow", target.id, A[6], "--ttl", "1s")
    until(lambda: not is_open(target, A[6]), "the TTL has ended")
    assert is_open(target, A[4])
    assert [entry["cidr"] for entry in world.ok("rules", target.id)] == \
        [A[4] + "/32"]


def change_by(api, ident, how, address):
    """The four ways in which an allowed flow may lose its ground."""
    if how == "deny":
        api.call("DenyCIDR", id=ident, cidr=address)
    elif how == "remove":
        api.call("RemoveCIDR", id=ident,
                 cidr="fd20::/16" if ":" in address else "10.20.0.0/16")
    elif how == "apply":
        api.call("Apply", id=ident, policy=api.make_policy())
    else:
        api.call("SetMode", id=ident, mode=api.policy.MODE_BLOCK_ALL)
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


@FAMILIES
@pytest.mark.parametrize("how", ["deny", "remove", "apply", "mode"])
def test_revocation_cuts_a_running_stream(target, api, how, family):
    """Not one datagram that was sent after the answer arrives."""
    target.attach(policy=WIDE)
    client, server = target.client, target.world.network.a
    target.world.network.forget()
    source = client.stream(name="s", protocol="udp", target=A[family],
                           port=SINK_PORT, pause_s=0.0001)
    try:
        until(lambda: len(server.sunk(port=source[1])) > 100,
              "the stream runs")
        answered_ns = change_by(api, target.id, how, A[family])
        mark = client.streaming(name="s")["sent"]
        until(lambda: client.streaming(name="s")["sent"] > mark + 300,
              "the client tries on")
    finally:
        client.stop(name="s")
    got = server.sunk(port=source[1])
    late = [number for number, sent_ns in got if sent_ns > answered_ns]
    assert late == []
    # And nothing was lost before: the cut is one moment.
    assert [number for number, _ in got] == list(range(1, len(got) + 1))
    assert target.counted()["packets_blocked"] >= 300


@FAMILIES
def test_revocation_cuts_a_tcp_transfer(target, api, family):
    target.attach(policy=WIDE)
    client, server = target.client, target.world.network.a
    target.world.network.forget()
    source = client.stream(name="s", protocol="tcp", target=A[family],
                           port=80, pause_s=0)
    flow = [6, None, source[1], A[family], 80]
    try:
        until(lambda: server.seen(flows=[flow])[0]["count"] > 100,
              "the transfer runs")
        before = target.counted()["packets_blocked"]
        answered_ns = change_by(api, target.id, "deny", A[family])
        until(lambda: target.counted()["packets_blocked"] > before,
              "packets are blocked")
        assert server.seen(flows=[flow])[0]["last_ns"] <= answered_ns
    finally:
        client.stop(name="s")


def test_other_flows_go_on_when_one_is_cut(target):
    """Every flow is judged again and those still allowed notice nothing."""
    target.attach(policy=WIDE)
    client = target.client
    for name, address in (("cut", "10.20.0.1"), ("kept", "10.20.0.2")):
        client.open(name=name, protocol="tcp", target=address, port=80)
        assert client.exchange(name=name) == "ok"
    target.world.ok("deny", target.id, "10.20.0.1")
    assert client.exchange(name="kept") == "ok"
    assert client.exchange(name="cut", timeout_s=0.1) == "timeout"
    for name in ("cut", "kept"):
        client.close(name=name)


def test_flow_of_a_lapsed_rule_ends_when_the_rule_is_removed(target):
    """Expiry leaves flows, removal does not, also after expiry."""
    target.attach()
    world, client = target.world, target.client
    world.ok("allow", target.id, A[4], "--ttl", "1h")
    client.open(name="f", protocol="udp", target=A[4], port=80)
    assert client.exchange(name="f") == "ok"
    world.ok("allow", target.id, A[4], "--ttl", "1s")
    until(lambda: not is_open(target, A[4]), "the TTL has ended")
    assert client.exchange(name="f") == "ok"
    # A whole policy that no longer has the rule takes the flow's ground away.
    target.apply("cidrs:\n  - allow: 10.30.0.0/16\n")
    assert client.exchange(name="f", timeout_s=0.1) == target.refusal
    client.close(name="f")
