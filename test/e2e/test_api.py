# SPDX-License-Identifier: Apache-2.0
"""The local API as another gRPC implementation sees it."""

import concurrent.futures

import grpc
import pytest

from traffic import A, each

N = 25


def raw(api, method, data):
    """Bytes that no well-behaved client would send."""
    call = api.channel.unary_unary(
        f"/sentinel.v1.DaemonService/{method}",
        request_serializer=lambda value: value,
        response_deserializer=lambda value: value)
    with pytest.raises(grpc.RpcError) as caught:
        call(data, timeout=10)
    return caught.value.code(), caught.value.details()


def test_attach_get_detach(interface, api):
    answer = api.call("Attach", interface_name="w0",
                      metadata={"tenant": "blue"}, audit=True,
                      policy=api.make_policy([api.rule("10.20.0.0/16")],
                                             mode="UNSPECIFIED", audit=True))
    assert len(answer.id) == 32 and set(answer.id) <= set("0123456789abcdef")
    assert answer.dns_address == "" and answer.notes
    item = api.call("Get", id=answer.id).attachment
    assert (item.id, item.target) == (answer.id, "w0")
    assert item.type == api.daemon.TARGET_TYPE_TC
    assert item.role == api.daemon.ROLE_WORKLOAD
    assert item.mode == api.policy.MODE_ALLOWLIST and item.audit
    assert item.inbound == api.policy.INBOUND_REPLIES
    assert item.state == api.daemon.ATTACHMENT_STATE_ENFORCED
    assert dict(item.metadata) == {"tenant": "blue"}
    assert list(item.notes) == list(answer.notes)
    api.call("Detach", id=answer.id)
    api.refused("NOT_FOUND", "Get", id=answer.id)
    api.refused("NOT_FOUND", "Detach", id=answer.id)


def test_list_by_pages(clean, api):
    ids = sorted(clean.attach(clean.cgroup(f"page{n}")) for n in range(5))
    seen, token = [], ""
    for _ in range(10):
        page = api.call("List", page_size=2, page_token=token)
        assert len(page.attachments) <= 2
        seen += [item.id for item in page.attachments]
        token = page.next_page_token
        if not token:
            break
    assert seen == ids
    page = api.call("List", id_prefix=ids[2][:8])
    assert [item.id for item in page.attachments] == [ids[2]]
    assert not api.call("List", id_prefix="f" * 32).attachments
    api.refused("INVALID_ARGUMENT", "List", "page_size", page_size=1001)
    api.refused("INVALID_ARGUMENT", "List", "page_token",
                page_token="nonsense")
    api.refused("INVALID_ARGUMENT", "List", "id_prefix", id_prefix="XYZ")


def test_rules_by_pages(box, api):
    box.attach()
    api.call("Apply", id=box.id, policy=api.make_policy(
        [api.rule(f"10.20.0.{n}", ports=["80/tcp", "icmp"], ttl_seconds=3600)
         for n in range(N)]))
    seen, token = [], ""
    for _ in range(N):
        page = api.call("GetRules", id=box.id, page_size=7, page_token=token)
        assert len(page.rules) <= 7
        seen += page.rules
        token = page.next_page_token
        if not token:
            break
    assert [rule.id for rule in seen] == sorted({rule.id for rule in seen})
    assert {rule.cidr for rule in seen} == \
        {f"10.20.0.{n}/32" for n in range(N)}
    for rule in seen:
        assert rule.verdict == api.policy.VERDICT_ALLOW
        assert sorted(rule.ports) == ["80/tcp", "icmp"]
        assert (rule.owner, rule.ttl_seconds) == ("local", 3600)
        assert 3500 < rule.remaining_seconds <= 3600
    api.refused("INVALID_ARGUMENT", "GetRules", "page_size", id=box.id,
                page_size=10001)


def test_every_kind_of_ports_comes_back_as_it_means(box, api):
    box.attach()
    specs = ["443/tcp", "8000-8100/udp", "53", "icmp", "gre", "tcp", "sctp",
             "1-65535/tcp"]
    api.call("AllowCIDR", id=box.id, cidr="10.20.0.0/16", ports=specs)
    [rule] = api.call("GetRules", id=box.id).rules
    assert sorted(rule.ports) == sorted(specs)
    # What was answered names the same rule again.
    answer = api.call("DenyCIDR", id=box.id, cidr=rule.cidr, ports=rule.ports)
    assert answer.replaced and answer.rule_id == rule.id
    assert api.call("RemoveCIDR", id=box.id, cidr=rule.cidr,
                    ports=rule.ports).removed == 1


def test_status(box, api):
    before = api.call("GetStatus")
    box.attach(policy="cidrs:\n  - allow: 10.20.0.0/16\n")
    status = api.call("GetStatus")
    assert status.version and len(status.daemon_id) == 32
    assert status.daemon_id == before.daemon_id
    assert status.attachments == before.attachments + 1
    assert status.attachments_waiting == 0
    assert status.dataplane.connected and status.dataplane.version
    assert status.dataplane.last_error == ""
    tables = {table.name: table for table in status.tables}
    assert tables and all(t.entries <= t.capacity for t in tables.values())
    states = {feature.name: feature.state for feature in status.features}
    assert states and set(states.values()) <= {
        api.daemon.FEATURE_STATE_FULL, api.daemon.FEATURE_STATE_PARTIAL,
        api.daemon.FEATURE_STATE_UNSUPPORTED}
    for feature in status.features:
        assert bool(feature.reason) == \
            (feature.state != api.daemon.FEATURE_STATE_FULL)


def test_malformed_messages(box, api):
    box.attach()
    ident = box.id.encode()
    id_field = b"\x0a" + bytes([len(ident)]) + ident
    cidr = b"\x12\x0a10.20.0.0/"
    for method, data, word in (
            ("Get", b"\x0a\x7f", ""),  # truncated
            ("Get", b"\xff\xff\xff\xff", ""),
            ("Get", id_field + b"\x98\x06\x01", ""),  # field 99
            ("Get", b"\x0a\x04ab\x00c", "id"),  # a NUL
            ("Get", b"\x0a\x02\xff\xfe", "id"),  # not UTF-8
            ("AllowCIDR", id_field + cidr + b"\x00" * 2, ""),
            ("SetMode", id_field + b"\x10\x63", "mode"),  # no such mode
            ("Attach", b"\x3a\x02\x08\x63", "mode"),  # policy.mode
            ("Apply", id_field + b"\x12\x04\x22\x02\x40\x01", "policy")):
        code, details = raw(api, method, data)
        assert code == grpc.StatusCode.INVALID_ARGUMENT, (method, data, code,
                                                          details)
        assert word in details
    code, _ = raw(api, "Nonsense", b"")
    assert code == grpc.StatusCode.UNIMPLEMENTED
    code, _ = raw(api, "Get", bytes(5 << 20))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert api.call("Get", id=box.id).attachment.rules == 0


def test_fields_of_answers_are_refused_in_requests(box, api):
    box.attach()
    for fields in ({"id": 5}, {"owner": "me"}, {"remaining_seconds": 9}):
        api.refused("INVALID_ARGUMENT", "Apply", "policy.rules[0]", id=box.id,
                    policy=api.make_policy([api.rule("10.0.0.0/8",
                                                     **fields)]))


def test_concurrent_changes_of_one_attachment_are_all_made(box, api):
    """One after the other, in some order; none is lost."""
    box.attach()

    def add(number):
        return api.call("AllowCIDR", id=box.id,
                        cidr=f"10.20.{number}.0/24").rule_id

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(add, range(64)))
    assert len(set(ids)) == 64
    rules = api.call("GetRules", id=box.id).rules
    assert {rule.cidr for rule in rules} == \
        {f"10.20.{n}.0/24" for n in range(64)}
    box.judge(each(A, True, families=(4,)))


def test_concurrent_attaches_of_one_target_make_one(clean, api):
    path = str(clean.cgroup("wanted"))

    def attach(_):
        try:
            return api.call("Attach", cgroup_path=path).id
        except grpc.RpcError as error:
            return error.code()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attach, range(8)))
    made = [answer for answer in answers if isinstance(answer, str)]
    assert len(made) == 1
    assert set(answers) - set(made) == {grpc.StatusCode.ALREADY_EXISTS}
    assert [item["id"] for item in clean.ok("list")] == made


def test_changes_are_logged_with_the_peer(box, api):
    box.attach()
    api.call("AllowCIDR", id=box.id, cidr="10.20.0.0/16")
    lines = [line for line in
             (box.world.folder / "sentinel-cp.log").read_text().splitlines()
             if box.id in line and "10.20.0.0/16" in line]
    assert any("uid" in line and "pid" in line for line in lines), lines
