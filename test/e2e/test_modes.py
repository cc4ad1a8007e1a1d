# SPDX-License-Identifier: Apache-2.0
"""Every mode, with and without audit, on an interface and on a cgroup; IPv4
and IPv6; TCP, UDP and ICMP. Longest prefix, ports, metadata, inbound."""

import pytest

from traffic import (A, A_CARVED, A_DENIED, B, METADATA, NEAR, Try,
                     blocked_reasons, each)
from world import MODES, until

CARVED = """
cidrs:
  - allow: 10.20.0.0/16
  - deny: 10.20.9.0/24
  - allow: 10.20.9.9
  - allow: fd20:1::/32
  - deny: fd20:1:9::/48
  - allow: fd20:1:9::9
"""

# What passes in each mode: allowed, denied within it, allowed within that, no
# rule at all.
PASSES = {
    "disabled": (True, True, True, True),
    "allowlist": (True, False, True, False),
    "denylist": (True, False, True, True),
    "block-all": (False, False, False, False),
}


def tries_of(mode, audit):
    passes = (True,) * 4 if audit else PASSES[mode]
    return [one for address, wanted in zip((A, A_DENIED, A_CARVED, B), passes)
            for one in each(address, wanted)]


@pytest.mark.parametrize("audit", [False, True], ids=["enforced", "audit"])
@pytest.mark.parametrize("mode", MODES)
def test_mode(target, mode, audit):
    target.attach(policy=f"mode: {mode}\naudit: {str(audit).lower()}{CARVED}")
    item = target.show()
    assert (item["mode"], item["audit"]) == (mode, audit)

    target.judge(tries_of(mode, audit))

    counted = target.counted()
    blocks = counted["packets_blocked"] + counted["calls_refused"]
    assert bool(blocks) == (not all(PASSES[mode]))
    assert sum(blocked_reasons(target.show()).values()) == blocks
    expected = {"disabled": set(), "allowlist": {"deny-rule", "no-rule"},
                "denylist": {"deny-rule"}, "block-all": {"mode"}}[mode]
    assert set(blocked_reasons(target.show())) == expected


def test_no_policy_means_all_closed(target):
    target.attach()
    item = target.show()
    assert (item["mode"], item["audit"], item["rules"]) == \
        ("allowlist", False, 0)
    target.judge(each(A, False) + each(B, False))
    assert set(blocked_reasons(target.show())) == {"no-rule"}


def test_mode_change_takes_running_flows_along(target):
    target.attach("--mode", "denylist")
    target.client.open(name="kept", protocol="udp", target=A[4], port=80)
    try:
        assert target.client.exchange(name="kept") == "ok"
        target.world.ok("mode", target.id, "block-all")
        assert target.client.exchange(name="kept", timeout_s=0.1) == \
            target.refusal
        target.world.ok("mode", target.id, "block-all", "--audit")
        assert target.client.exchange(name="kept") == "ok"
        target.world.ok("mode", target.id, "allowlist")
        assert target.client.exchange(name="kept", timeout_s=0.1) == \
            target.refusal
        target.world.ok("mode", target.id, "disabled")
        assert target.client.exchange(name="kept") == "ok"
    finally:
        target.client.close(name="kept")


def test_ports_and_protocols(target):
    target.attach(policy="""
cidrs:
  - {allow: 10.20.0.0/16, ports: [80/tcp, 443/udp, icmp]}
  - {allow: fd20::/16, ports: [8000-8100/tcp, 443]}
  - {deny: 10.20.0.1, ports: [443/tcp]}
""")
    v4, v6 = A[4], A[6]
    target.judge([
        Try("tcp", v4, 80, True), Try("tcp", v4, 443, False),
        Try("udp", v4, 443, True), Try("udp", v4, 80, False),
        Try("icmp", v4, 0, True),
        Try("tcp", v6, 8080, True), Try("tcp", v6, 443, True),
        Try("udp", v6, 443, True), Try("tcp", v6, 80, False),
        Try("udp", v6, 80, False), Try("icmp", v6, 0, False),
    ])


def test_ports_do_not_make_a_rule_more_specific(target):
    """A longer prefix whose ports do not match leaves the decision to the
    shorter one; on one prefix deny wins."""
    target.attach(policy="""
cidrs:
  - {allow: 10.20.0.0/16}
  - {deny: 10.20.0.1, ports: [443/tcp]}
  - {deny: fd20:1::/32, ports: [80/tcp]}
  - {allow: fd20:1::/32}
""")
    target.judge([
        Try("tcp", A[4], 80, True), Try("tcp", A[4], 443, False),
        Try("udp", A[4], 443, True), Try("tcp", A[6], 80, False),
        Try("tcp", A[6], 443, True), Try("icmp", A[6], 0, True),
    ])


def test_many_prefix_lengths(target):
    """More lengths than the hash takes: the other engine judges."""
    lines = [f"  - {'allow' if n % 2 else 'deny'}: 10.20.0.0/{n}\n"
             for n in range(16, 32)]
    lines += [f"  - {'allow' if n % 2 else 'deny'}: fd20:1::/{n}\n"
              for n in range(32, 128, 8)] + ["  - allow: fd20:1::/65\n"]
    target.attach(policy="cidrs:\n" + "".join(lines))
    at = [f"10.20.{128 >> n}.1" for n in range(4)]
    target.judge([
        Try("udp", at[0], 80, False),  # /16 denies
        Try("udp", at[1], 80, True),   # /17 allows
        Try("udp", at[2], 80, False),
        Try("udp", at[3], 80, True),
        Try("udp", "10.20.0.1", 80, True),  # /31 allows
        Try("udp", "fd20:1:0:0:8000::1", 80, False),  # /64 denies
        Try("udp", "fd20:1:0:0:4000::1", 80, True),  # /65 allows
    ])


@pytest.mark.parametrize("mode", ["allowlist", "denylist"])
def test_metadata_needs_a_rule_of_its_own(target, mode):
    """Neither a wide rule nor the mode opens it, an exact rule does."""
    wide = "cidrs:\n  - allow: 0.0.0.0/0\n  - allow: ::/0\n"
    target.attach(policy=f"mode: {mode}\n{wide}")
    ports = ("tcp", "udp", "icmp")
    target.judge(each(METADATA, False, ports) + each(A, True, ports))
    assert set(blocked_reasons(target.show())) == {"metadata"}
    target.apply(f"mode: {mode}\n{wide}" + "".join(
        f"  - {{allow: '{METADATA[family]}', ports: [80/tcp]}}\n"
        for family in (4, 6)))
    target.judge(each(METADATA, True, ("tcp",)) +
                 each(METADATA, False, ("udp", "icmp")))
    target.apply(f"mode: {mode}\n{wide}" + "".join(
        f"  - deny: '{METADATA[family]}'\n" for family in (4, 6)))
    before = target.settle().get("reason:deny-rule", 0)
    target.judge(each(METADATA, False, ("tcp",)))
    assert blocked_reasons(target.show())["deny-rule"] == before + 2


def test_metadata_is_open_when_disabled(target):
    target.attach("--mode", "disabled")
    target.judge(each(METADATA, True))


def judge_inbound(target, wanted):
    """From a server to the workload, or to a process of the cgroup."""
    network = target.world.network
    if target.kind == "tc":
        near, protocols, port = NEAR, ("tcp", "udp", "icmp"), 80
    else:
        # An echo request is answered by the kernel, which is in no cgroup.
        near, protocols, port = {4: "10.254.1.1", 6: "fd54:1::1"}, \
            ("tcp", "udp"), 8888
    tries = each(near, wanted, protocols, port)
    network.forget()
    answers = network.a.probe(
        probes=[[t.protocol, t.address, t.port, t.wanted] for t in tries],
        grace_s=0.12)
    assert {answer["result"] for answer in answers} == \
        {"ok" if wanted else "timeout"}, f"{answers}\n{target.show()}"
    if target.kind == "tc" and not wanted:
        flows = [[None, answer["source"], answer["port"], None, None]
                 for answer in answers if answer["port"]]
        assert not any(seen["count"] for seen in
                       network.workload.seen(flows=flows))


@pytest.mark.parametrize("inbound", ["replies", "allow", "block"])
def test_inbound(target, inbound):
    network = target.world.network
    if target.kind == "cgroup" and not hasattr(network, "box_serves"):
        target.client.serve(tcp=[8888], udp=[8888])
        network.box_serves = True
    judge_inbound(target, True)  # Nothing is attached yet.

    target.attach(policy=f"inbound: {inbound}\ncidrs:\n"
                         "  - allow: 10.20.0.0/16\n  - allow: fd20::/16\n")
    assert target.show()["inbound"] == inbound
    judge_inbound(target, inbound == "allow")
    if inbound != "allow":
        assert set(blocked_reasons(target.show())) == {"inbound"}
    # Replies to what the workload asks for.
    if inbound == "block":
        # What it sends arrives, what comes back does not.
        before = target.settle()
        target.judge(each(A, False, ("udp",)), refusal="timeout",
                     arrives=True)
        target.difference(before, packets_allowed=2, packets_blocked=2,
                          reason_inbound=2)
    else:
        target.judge(each(A, True) + each(B, False))


def test_inbound_in_denylist_stays_by_its_own_setting(interface):
    interface.attach("--mode", "denylist")
    judge_inbound(interface, False)
    interface.judge(each(A, True))


def test_mapped_address_is_judged_as_ipv4(box):
    """A socket of IPv6 that talks IPv4 meets the IPv4 rules."""
    box.attach(policy="cidrs:\n  - allow: 10.20.0.0/16\n  - allow: ::/0\n")
    answers = box.client.probe(probes=[
        ["tcp", "::ffff:10.20.0.1", 80, True],
        ["udp", "::ffff:10.20.0.1", 80, True],
        ["tcp", "::ffff:10.30.0.1", 80, False],
        ["udp", "::ffff:10.30.0.1", 80, False],
        ["sendto", "::ffff:10.30.0.1", 80, False]], grace_s=0.12)
    assert [answer["result"] for answer in answers] == \
        ["ok", "ok", "EPERM", "EPERM", "EPERM"]
    assert set(blocked_reasons(box.show())) == {"no-rule"}


def test_child_cgroups_and_their_processes_are_judged_too(box):
    box.attach(policy="cidrs:\n  - allow: 10.20.0.0/16\n")
    box.world.cgroup("box/inner")
    inner = box.world.network.agent("router", "box/inner")
    try:
        answers = inner.probe(probes=[["tcp", A[4], 80, True],
                                      ["tcp", B[4], 80, False]], grace_s=0.1)
        assert [answer["result"] for answer in answers] == ["ok", "EPERM"]
    finally:
        inner.end()
        until(lambda: "populated 0" in
              (box.world.cgroups / "box/inner/cgroup.events").read_text(),
              "the inner cgroup is empty")
        (box.world.cgroups / "box/inner").rmdir()
