# SPDX-License-Identifier: Apache-2.0
"""Counters are exact: packets and bytes, allowed and blocked, by reason."""

import pytest

from traffic import A, B, NEAR, number_of

N = 40
POLICY = "cidrs:\n  - allow: 10.20.0.0/16\n  - allow: fd20::/16\n"
FAMILIES = pytest.mark.parametrize("family", [4, 6])
IP_BYTES = {4: 20, 6: 40}


def burst(target, protocol, address, count=N, **options):
    target.world.network.forget()
    return target.client.burst(protocol=protocol, target=address,
                               port=80 if protocol != "icmp" else 0,
                               count=count, **options)


def arrived(target, protocol, address, sent):
    flow = [number_of(protocol, address), None, sent["port"], address, None]
    return sum(server.seen(flows=[flow])[0]["count"] for server in
               (target.world.network.a, target.world.network.b))


@FAMILIES
@pytest.mark.parametrize("protocol", ["udp", "icmp"])
def test_allowed(target, protocol, family):
    target.attach(policy=POLICY)
    before = target.settle()
    sent = burst(target, protocol, A[family], size=32)
    assert sent["received"] == N
    assert arrived(target, protocol, A[family], sent) == N
    body = 8 + 32 if protocol == "udp" else 16
    target.difference(before, packets_allowed=2 * N,
                      bytes_allowed=2 * N * (IP_BYTES[family] + body))


@FAMILIES
@pytest.mark.parametrize("protocol", ["udp", "icmp"])
def test_blocked_packets(target, protocol, family):
    """On a cgroup a refused call is no packet; raw sockets have no such
    call."""
    target.attach(policy=POLICY)
    before = target.settle()
    as_call = target.kind == "cgroup" and protocol == "udp"
    sent = burst(target, "sendto" if as_call else protocol, B[family],
                 replies=False, size=32)
    assert sent["refused"] == (N if target.kind == "cgroup" else 0)
    if as_call:
        target.difference(before, calls_refused=N, reason_no_rule=N)
    else:
        body = 8 + 32 if protocol == "udp" else 16
        target.difference(before, packets_blocked=N, reason_no_rule=N,
                          bytes_blocked=N * (IP_BYTES[family] + body))
    assert arrived(target, protocol, B[family], sent) == 0


@FAMILIES
def test_blocked_connections(target, family):
    """A SYN each on an interface, a refused call each on a cgroup."""
    target.attach(policy=POLICY)
    before = target.settle()
    answers = target.client.probe(
        probes=[["tcp", B[family], port, False] for port in (80, 443, 8080)],
        grace_s=0.1)
    assert {answer["result"] for answer in answers} == {target.refusal}
    if target.kind == "tc":
        target.difference(before, packets_blocked=3, reason_no_rule=3)
    else:
        target.difference(before, calls_refused=3, reason_no_rule=3)


@FAMILIES
def test_blocked_inbound(interface, family):
    interface.attach(policy=POLICY)
    before = interface.settle()
    interface.world.network.a.burst(protocol="udp", target=NEAR[family],
                                    port=80, count=N, replies=False, size=32)
    interface.difference(before, packets_blocked=N, reason_inbound=N,
                         bytes_blocked=N * (IP_BYTES[family] + 40))


@FAMILIES
def test_fragments(interface, family):
    """Three fragments each way; the later ones go where the first one may."""
    interface.attach(policy=POLICY)
    before = interface.settle()
    sent = burst(interface, "udp", A[family], count=5, size=3000)
    assert sent["received"] == 5
    interface.difference(before, packets_allowed=2 * 5 * 3)

    before = interface.settle()
    burst(interface, "udp", B[family], count=5, size=3000, replies=False)
    interface.difference(before, packets_blocked=5 * 3, reason_no_rule=5,
                         reason_fragment=5 * 2)


def test_audit_counts_what_it_lets_pass(target):
    target.attach(policy="audit: true\n" + POLICY)
    before = target.settle()
    protocol = "udp" if target.kind == "tc" else "icmp"
    sent = burst(target, protocol, B[4])
    assert sent["received"] == N
    assert arrived(target, protocol, B[4], sent) == N
    after = target.settle()
    total = sum(after[key] - before[key]
                for key in ("packets_allowed", "packets_blocked"))
    assert total == 2 * N
    # The answers belong to flows that only audit let pass.
    assert after["packets_blocked"] - before["packets_blocked"] >= N
    assert after["reason:no-rule"] - before.get("reason:no-rule", 0) >= N


def test_two_attachments_count_apart(clean, interface, box):
    interface.attach(policy=POLICY)
    box.attach("--mode", "denylist")
    first, second = interface.settle(), box.settle()
    assert burst(interface, "icmp", A[4])["received"] == N
    interface.difference(first, packets_allowed=2 * N)
    box.difference(second)
    assert burst(box, "icmp", B[4])["received"] == N
    box.difference(second, packets_allowed=2 * N)


def test_a_new_attachment_begins_at_zero(target):
    """Slots are used again, their counters are never reset."""
    for _ in range(3):
        target.attach(policy=POLICY)
        assert not any(target.counted().values())
        assert burst(target, "icmp", A[4], count=3)["received"] == 3
        target.difference({}, packets_allowed=6)
        target.world.ok("detach", target.id)
