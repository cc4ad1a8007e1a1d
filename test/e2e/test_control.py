# SPDX-License-Identifier: Apache-2.0
"""The control plane's stream: order and content of what both sides say."""

import time

import pytest

from planes import PLAIN, Plane, take_over
from traffic import A, B, Target, each
from world import QUICK, until

# A test that is slow to acknowledge is not left.
PATIENT = PLAIN.replace("sync_timeout: 2s", "sync_timeout: 4s")
WORLD = {"config": QUICK + PATIENT + "  subscribe_timeout: 1s\n"
         "  metadata: [rack=12, site=north]\n"}


@pytest.fixture
def plane(clean, stubs):
    made = Plane(clean, stubs)
    yield made
    made.close()


def test_sync_request_comes_first_and_says_what_is_attached(plane, interface):
    ident = None
    assert plane.sync() == {}
    parts = plane.all("sync_request")
    assert plane.events[0][1] == "sync_request" and len(parts) == 1
    first = parts[0]
    status = interface.world.ok("status")
    assert first.daemon_id == status["daemon_id"]
    assert first.version == status["version"]
    assert first.hostname
    assert "cidr" in first.capabilities
    assert dict(first.metadata) == {"rack": "12", "site": "north"}

    ident = take_over(plane, interface.world, interface, cidrs=["10.20.0.0/16"])
    plane.end_stream()
    known = plane.sync(2)
    assert list(known) == [ident]
    one = known[ident]
    assert (one.target, one.type, one.applied_revision, one.closed) == \
        ("w0", 1, 1, False)
    assert one.mode == plane.policy.MODE_ALLOWLIST


def test_a_policy_from_afar_is_enforced(plane, target):
    world = target.world
    plane.sync()
    ident = take_over(plane, world, target, cidrs=[
        "10.20.0.0/16", plane.rule("fd20::/16", ports=["80"])])
    target.judge(each(A, True, ("tcp", "udp")) + each(B, False))
    plane.do(ident, 2, allow_cidr=plane.pb.AllowCIDR(cidr=B[4]))
    target.judge(each(B, True, families=(4,)) + each(B, False, families=(6,)))
    plane.do(ident, 3, deny_cidr=plane.pb.DenyCIDR(cidr=A[4], ports=["tcp"]))
    target.judge(each(A, False, ("tcp",), families=(4,)) +
                 each(A, True, ("udp",), families=(4,)))
    plane.do(ident, 4, remove_cidr=plane.pb.RemoveCIDR(cidr=A[4]))
    target.judge(each(A, True, ("tcp", "udp")))
    plane.do(ident, 5, set_mode=plane.pb.SetMode(
        mode=plane.policy.MODE_BLOCK_ALL))
    target.judge(each(A, False) + each(B, False))
    assert plane.do(ident, 6, bulk_update=plane.bulk([A[6]], audit=True)) \
        .applied_revision == 6
    assert target.show()["audit"]
    assert [(rule["cidr"], rule["owner"])
            for rule in world.ok("rules", ident)] == \
        [(A[6] + "/128", "remote")]
    # No rules are no rules, not the former ones.
    plane.do(ident, 7, bulk_update=plane.bulk())
    assert world.ok("rules", ident) == [] and not target.show()["audit"]
    target.judge(each(A, False) + each(B, False))


def test_repeats_and_reorders_change_nothing(plane, interface):
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, revision=5, cidrs=[A[4]])
    late = plane.make(ident, 4, bulk_update=plane.bulk([B[4]]))
    first = plane.make(ident, 6, allow_cidr=plane.pb.AllowCIDR(
        cidr=A[6], ttl_seconds=3600))
    for message in (late, first, first, late):
        plane.send_raw(message.SerializeToString())
    plane.wait(lambda: len(plane.all("command_result")) >= 6, "six results")
    results = plane.all("command_result")[2:]
    assert [(one.success, one.repeated, one.applied_revision)
            for one in results] == [(True, True, 5), (True, False, 6),
                                    (True, True, 6), (True, True, 6)]
    assert {rule["cidr"] for rule in world.ok("rules", ident)} == \
        {A[4] + "/32", A[6] + "/128"}
    # What changes nothing has a revision all the same.
    plane.do(ident, 7, set_mode=plane.pb.SetMode(
        mode=plane.policy.MODE_ALLOWLIST))
    plane.do(ident, 8, remove_cidr=plane.pb.RemoveCIDR(cidr="192.0.2.1"))
    assert plane.do(ident, 8, detach=plane.pb.Detach()).repeated
    assert interface.show()["id"] == ident


def test_revisions_outlive_a_crash(plane, interface):
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    plane.do(ident, 41, allow_cidr=plane.pb.AllowCIDR(cidr=B[4]))
    world.kill_cp()
    world.start_cp()
    known = plane.sync(2)
    assert known[ident].applied_revision == 41
    assert plane.do(ident, 41, bulk_update=plane.bulk()).repeated
    interface.judge(each(A, True, families=(4,)) + each(B, True, families=(4,)))


def test_failed_commands_change_nothing_and_do_not_count(plane, interface):
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    other = "f" * 32
    ports = [f"{port}" for port in range(1, 10)]
    plane.refused("no attachment has this id", ident=other, revision=1,
                  bulk_update=plane.bulk())
    plane.refused("allow_cidr.ports", ident=ident, revision=2,
                  allow_cidr=plane.pb.AllowCIDR(cidr=A[4], ports=ports))
    plane.refused("allow_cidr.cidr", "host bits", ident=ident, revision=2,
                  allow_cidr=plane.pb.AllowCIDR(cidr="10.0.0.1/8"))
    plane.refused("bulk_update.dns", ident=ident, revision=2,
                  bulk_update=plane.bulk(dns=False))
    plane.refused("bulk_update.mode", ident=ident, revision=2,
                  bulk_update=plane.bulk(mode="UNSPECIFIED"))
    plane.refused("bulk_update.cidrs", "open everything", ident=ident,
                  revision=2, bulk_update=plane.bulk(mode="DENYLIST"))
    plane.refused("revision", ident=ident,
                  bulk_update=plane.bulk())
    result = plane.refused("set_mode.mode", ident=ident, revision=2,
                           set_mode=plane.pb.SetMode())
    assert result.applied_revision == 1
    assert not plane.do(ident, 2, allow_cidr=plane.pb.AllowCIDR(
        cidr=B[4])).repeated


def test_one_bad_prefix_refuses_ten_thousand(plane, interface):
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    many = [plane.rule(f"10.50.{i // 256}.{i % 256}") for i in range(10000)]
    many[5000].cidr = "10.50.0.256"
    plane.refused("bulk_update.cidrs[5000].cidr", ident=ident, revision=2,
                  bulk_update=plane.bulk(many))
    assert [rule["cidr"] for rule in world.ok("rules", ident)] == \
        [A[4] + "/32"]
    many[5000].cidr = A[6]
    plane.do(ident, 2, bulk_update=plane.bulk(many))
    assert interface.show()["rules"] == 10000
    interface.judge(each(A, False, families=(4,)) +
                    each(A, True, families=(6,)))


def field(number, data):
    """A length-delimited protobuf field, whatever is in it."""
    size, out = len(data), b""
    while size > 127:
        out += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + out + bytes([size]) + data


def memory_kb(world):
    for line in open(f"/proc/{world.cp.pid}/status", encoding="ascii"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_what_no_library_makes_is_refused(plane, interface):
    """Unknown enums, fields and commands, bad strings, floods of nothing."""
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    before_kb = memory_kb(world)
    head = field(1, b"raw") + field(2, ident.encode()) + b"\x18\x63"
    cases = {
        "unknown enum": head + field(14, b"\x08\x63" + field(5, b"")),
        "unknown command": head + field(99 % 16 + 16, b""),
        "unknown field": head + field(14, b"\x08\x02" + field(5, b"") +
                                      b"\x98\x06\x01"),
        "two commands": head + field(15, b"") + field(6, b"\x08\x02"),
        "NUL": head + field(7, field(1, b"10.0.0.0/8\0")),
        "bad UTF-8": head + field(7, field(1, b"\xc3\x28")),
        "NUL in a name": head + field(11, field(1, b"a\0.example")),
        "a megabyte of nothing": head + field(14, b"\x08\x02" + field(5, b"") +
                                              b"\x22\x00" * 500000),
        "cut off": (head + field(14, b"\x08\x02" + field(5, b"")))[:-1],
    }
    for name, data in cases.items():
        heard = len(plane.all("command_result"))
        plane.send_raw(data)
        plane.wait(lambda: len(plane.all("command_result")) > heard, name)
        result = plane.all("command_result")[heard]
        assert (result.command_id, result.id, result.success) == \
            ("raw", ident, False), name
        assert result.error, name
        assert result.applied_revision == 1
    assert memory_kb(world) - before_kb < 100 * 1024
    assert [rule["cidr"] for rule in world.ok("rules", ident)] == \
        [A[4] + "/32"]
    assert len(plane.opens) == 1


def test_a_message_over_the_limit_is_refused(plane, interface):
    """Over ours it is named, over twice that the stream ends unread, and
    either way the daemon goes on."""
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    plane.send_raw(field(1, b"big") + field(2, ident.encode()) +
                   field(14, bytes(17 << 20)))
    result = plane.event("command_result",
                         lambda event: event.command_id == "big")
    assert "control.max_message" in result.error
    plane.send_raw(field(1, b"huge") + field(14, bytes(40 << 20)))
    assert ident in plane.sync(2)
    result = plane.event("command_result",
                         lambda event: not event.command_id)
    assert "control.max_message" in result.error
    plane.do(ident, 2, allow_cidr=plane.pb.AllowCIDR(cidr=B[4]))


def test_sync_ack_comes_once_and_before_all_else(plane, interface):
    plane.wait(lambda: plane.all("sync_request"), "SyncRequest")
    plane.refused("sync_ack", ident="a" * 32, revision=1,
                  detach=plane.pb.Detach())
    plane.sync()
    plane.refused("sync_ack", sync_ack=plane.pb.SyncAck())
    assert len(plane.opens) == 1


def test_a_peer_that_never_acknowledges_is_left(plane, interface):
    """Again and again, with pauses, and without a change of any policy."""
    world = interface.world
    plane.wait(lambda: len(plane.opens) >= 3, "three attempts", limit_s=30)
    status = world.ok("status")["control_plane"]
    assert "no sync_ack" in status["last_error"]
    assert all(kind == "sync_request" for _, kind, _ in plane.events)


def test_an_endless_resync_costs_pauses(plane, interface):
    world = interface.world
    for i in range(1, 8):
        plane.sync(i)
        plane.end_stream(0)
    until(lambda: world.ok("status")["control_plane"]["last_error"],
          "the last end is seen")
    assert memory_kb(world) < 200 * 1024


def test_heartbeats_count_what_the_kernel_counts(plane, interface):
    plane.sync()
    ident = take_over(plane, interface.world, interface, cidrs=[A[4]])
    interface.judge(each(A, True, families=(4,)) + each(B, False))
    counted = interface.settle()

    def matches(event):
        return any(one.id == ident and
                   one.packets_allowed == counted["packets_allowed"] and
                   one.packets_blocked == counted["packets_blocked"] and
                   one.applied_revision == 1 for one in event.attachments)

    beat = plane.event("heartbeat", matches)
    assert beat.dataplane_connected
    assert {table.name for table in beat.tables} >= {"rules"}
    assert abs(beat.time - time.time()) < 60
    times = len(plane.all("heartbeat"))
    plane.wait(lambda: len(plane.all("heartbeat")) > times + 2,
               "heartbeats go on")


def test_the_end_of_an_attachment_is_told(plane, clean):
    world, network = clean, clean.network
    plane.sync()

    def gone(ident):
        return plane.event("unsubscribed", lambda event: event.id == ident)

    target = Target(world, "tc")
    ident = take_over(plane, world, target)
    world.ok("detach", ident)
    reasons = plane.pb.UnsubscribedReason
    assert gone(ident).reason == reasons.Value("UNSUBSCRIBED_REASON_DETACHED")
    ident = take_over(plane, world, target)
    plane.do(ident, 2, detach=plane.pb.Detach())
    assert gone(ident).reason == reasons.Value("UNSUBSCRIBED_REASON_DETACHED")
    network.ip("link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
    target.name = "gone0"
    ident = take_over(plane, world, target)
    network.ip("link", "delete", "gone0")
    assert gone(ident).reason == reasons.Value("UNSUBSCRIBED_REASON_REMOVED")


def test_local_rules_stand_beside_remote_ones(plane, interface):
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    world.ok("allow", ident, B[4])
    world.ok("allow", ident, A[6], "--ttl", "1h")
    before = {rule["cidr"]: rule for rule in world.ok("rules", ident)}
    plane.do(ident, 2, bulk_update=plane.bulk([B[6]]))
    after = {rule["cidr"]: rule for rule in world.ok("rules", ident)}
    assert {cidr: rule["owner"] for cidr, rule in after.items()} == {
        B[4] + "/32": "local", A[6] + "/128": "local", B[6] + "/128": "remote"}
    for cidr in (B[4] + "/32", A[6] + "/128"):
        assert after[cidr]["id"] == before[cidr]["id"]
    assert 3500 < after[A[6] + "/128"]["remaining_seconds"] <= \
        before[A[6] + "/128"]["remaining_seconds"]
    interface.judge(each(B, True) + each(A, True, families=(6,)) +
                    each(A, False, families=(4,)))
    # Neither takes the other's rules away.
    assert world.ctl("remove", ident, B[6]).code
    plane.do(ident, 3, remove_cidr=plane.pb.RemoveCIDR(cidr=B[4]))
    assert len(world.ok("rules", ident)) == 3
    # The settings are the control plane's alone.
    for arguments in (("mode", ident, "disabled"),
                      ("apply", ident, world.policy_file("mode: disabled\n"))):
        answer = world.ctl(*arguments)
        assert answer.code and "control plane" in answer.err


def test_status_shows_the_stream(plane, interface):
    world = interface.world
    until(lambda: world.ok("status")["control_plane"]["state"] == "syncing",
          "it is connected")
    plane.sync()
    status = world.ok("status")
    control = status["control_plane"]
    assert control["state"] == "synced" and control["insecure"]
    assert control["url"] == "http://127.0.0.1:7443"
    assert abs(control["last_sync"] - time.time()) < 60
    assert any("neither encrypted" in text for text in status["warnings"])
    text = world.ctl("status").out
    assert "NOT ENCRYPTED, NOT VERIFIED" in text
    plane.kill()
    until(lambda: world.ok("status")["control_plane"]["state"] != "synced",
          "the loss is seen")
    control = world.ok("status")["control_plane"]
    assert control["last_error"]
    assert any("last policies stay enforced" in text
               for text in world.ok("status")["warnings"])


def test_names_from_afar(plane, interface, api):
    """Domain rules and the DNS mode, and local ones beside them."""
    world = interface.world
    plane.sync()
    update = plane.bulk([A[4]])
    update.dns.mode = plane.policy.DNS_MODE_ALLOWLIST
    update.dns.domains.add(verdict=plane.policy.VERDICT_ALLOW,
                           domain="one.example", subdomains=True)
    ident = take_over(plane, world, interface, local="dns:\n  domains:\n"
                      "    - {allow: mine.example, ports: [443/tcp]}\n")
    plane.do(ident, 2, bulk_update=update)
    plane.do(ident, 3, allow_domain=plane.pb.AllowDomain(
        domain="two.example", ports=["443/tcp"], ttl_floor_seconds=60))
    plane.do(ident, 4, deny_domain=plane.pb.DenyDomain(domain="x.one.example"))
    plane.do(ident, 5, set_dns_mode=plane.pb.SetDnsMode(
        mode=plane.policy.DNS_MODE_DENYLIST))

    def domains():
        return {rule.domain: (rule.verdict, rule.owner) for rule in
                api.call("GetDomains", id=ident).domains}

    assert domains() == {
        "one.example": (1, "remote"), "two.example": (1, "remote"),
        "x.one.example": (2, "remote"), "mine.example": (1, "local")}
    assert interface.show()["dns_mode"] == "denylist"
    plane.do(ident, 6, remove_domain=plane.pb.RemoveDomain(
        domain="two.example"))
    plane.do(ident, 7, remove_domain=plane.pb.RemoveDomain(
        domain="mine.example"))
    assert set(domains()) == {"one.example", "x.one.example", "mine.example"}
    plane.do(ident, 8, bulk_update=update)
    assert set(domains()) == {"one.example", "mine.example"}
    assert interface.show()["dns_mode"] == "allowlist"
    for refused in ("a..example", "10.0.0.1", "*.example", "a" * 64):
        plane.refused("allow_domain.domain", ident=ident, revision=9,
                      allow_domain=plane.pb.AllowDomain(domain=refused))
    update.dns.domains[0].domain = "bad..example"
    plane.refused("bulk_update.dns.domains[0].domain", ident=ident, revision=9,
                  bulk_update=update)


def test_a_million_rules_and_one_are_refused_whole(plane, interface):
    """Within the message limit, over the limit of rules; while they are read,
    the local API goes on."""
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    # verdict: ALLOW and a cidr, packed by hand; libraries take their time.
    rules = b"".join(
        field(4, b"\x08\x01" + field(2, f"9.{i >> 16}.{i >> 8 & 255}."
                                     f"{i & 255}".encode()))
        for i in range(1000001))
    data = field(1, b"million") + field(2, ident.encode()) + b"\x18\x02" + \
        field(14, b"\x08\x02" + rules + field(5, b""))
    plane.send_raw(data)
    took = []

    def refused():
        began = time.monotonic()
        world.ok("show", ident)
        took.append(time.monotonic() - began)
        return [one for one in plane.all("command_result")
                if one.command_id == "million"]

    result = until(refused, "the refusal", limit_s=30)[0]
    assert not result.success
    assert "bulk_update.cidrs[1000000]" in result.error, result.error
    assert "limits.rules_per_policy" in result.error
    assert max(took) < 2, took
    assert [rule["cidr"] for rule in world.ok("rules", ident)] == \
        [A[4] + "/32"]
    plane.do(ident, 2, allow_cidr=plane.pb.AllowCIDR(cidr=B[4]))
