# SPDX-License-Identifier: Apache-2.0
"""Whole policies and single rules, small and large."""

import grpc
import pytest

from traffic import A, B, Try, each
from world import until

BASE = "cidrs:\n  - allow: 10.20.0.0/16\n  - {deny: 10.20.9.0/24, ttl: 1h}\n"
LARGE = 20000


def address_of(number):
    return f"10.30.{number // 250}.{number % 250 + 1}"


def all_rules(world, ident):
    return [{key: rule[key] for key in ("verdict", "cidr", "ports", "id")}
            for rule in world.ok("rules", ident)]


def test_answer_says_what_changed_and_equal_rules_keep_their_ids(target):
    target.attach(policy=BASE)
    before = {rule["cidr"]: rule["id"]
              for rule in all_rules(target.world, target.id)}
    generation = target.show()["generation"]
    answer = target.apply(BASE + "  - allow: fd20::/16\n")
    assert (answer["added"], answer["removed"], answer["unchanged"]) == \
        (1, 0, 2)
    assert answer["generation"] == generation + 1 == \
        target.show()["generation"]
    after = {rule["cidr"]: rule["id"]
             for rule in all_rules(target.world, target.id)}
    assert {cidr: after[cidr] for cidr in before} == before
    answer = target.apply("cidrs:\n  - allow: fd20::/16\n")
    assert (answer["added"], answer["removed"], answer["unchanged"]) == \
        (0, 2, 1)
    target.judge(each(A, True, families=(6,)) + each(A, False, families=(4,)))


def test_empty_list_means_nothing(target):
    target.attach(policy=BASE)
    target.apply("cidrs: []\n")
    assert target.show()["rules"] == 0
    target.judge(each(A, False))


def test_dry_run_changes_nothing(target):
    target.attach(policy=BASE)
    before = (all_rules(target.world, target.id), target.show()["generation"])
    answer = target.world.ok(
        "apply", target.id, "--dry-run",
        target.world.policy_file("mode: block-all\ncidrs: []\n"))
    assert (answer["added"], answer["removed"], answer["unchanged"]) == \
        (0, 2, 0)
    assert answer["generation"] == before[1]
    assert (all_rules(target.world, target.id),
            target.show()["generation"]) == before
    target.judge(each(A, True, families=(4,)))


def test_one_bad_rule_refuses_the_whole_policy(target, api):
    target.attach(policy=BASE)
    before = all_rules(target.world, target.id)
    rules = [api.rule("10.30.0.0/16"), api.rule("10.30.0.1/16")]
    api.refused("INVALID_ARGUMENT", "Apply", "policy.rules[1].cidr",
                id=target.id, policy=api.make_policy(rules))
    assert all_rules(target.world, target.id) == before
    target.judge(each(A, True, families=(4,)) + each(B, False))


def test_single_rules(target):
    world = target.world
    target.attach()
    first = world.ok("allow", target.id, "10.20.0.0/16",
                     "--ports", "80/tcp,443/udp")
    assert not first["replaced"]
    target.judge([Try("tcp", A[4], 80, True), Try("udp", A[4], 443, True),
                  Try("udp", A[4], 80, False)])
    # The same prefix and ports again, in another order: replaced.
    again = world.ok("deny", target.id, "10.20.0.0/16",
                     "--ports", "443/udp,80/tcp")
    assert (again["replaced"], again["rule_id"]) == (True, first["rule_id"])
    target.judge(each(A, False, families=(4,)))
    # Other ports: a rule of its own.
    other = world.ok("allow", target.id, "10.20.0.0/16", "--ports", "80/udp")
    assert not other["replaced"] and other["rule_id"] != first["rule_id"]
    target.judge([Try("udp", A[4], 80, True)])
    # Only the named ports go, then the rest.
    assert world.ok("remove", target.id, "10.20.0.0/16",
                    "--ports", "80/udp")["removed"] == 1
    assert world.ok("remove", target.id, "10.20.0.0/16")["removed"] == 1
    assert all_rules(world, target.id) == []
    answer = world.ctl("remove", target.id, "10.20.0.0/16")
    assert answer.code == 1 and "no such rule" in answer.err, answer


def test_prefix_lengths_one_by_one(target):
    """Single changes go through both engines of longest match."""
    world = target.world
    target.attach()
    for length in (8, 12, 16, 20, 24, 28):
        verdict = "deny" if length % 8 == 4 else "allow"
        world.ok(verdict, target.id,
                 f"10.{'0' if length == 8 else '16' if length == 12 else '20'}"
                 f".0.0/{length}")
    target.judge([Try("udp", "10.20.0.1", 80, False),
                  Try("udp", "10.20.0.17", 80, True),
                  Try("udp", "10.20.1.1", 80, False),
                  Try("udp", "10.20.16.1", 80, True),
                  Try("udp", "10.30.0.1", 80, False)])
    for length in (28, 24, 20):
        world.ok("remove", target.id, f"10.20.0.0/{length}")
    target.judge([Try("udp", "10.20.0.1", 80, True),
                  Try("udp", "10.30.0.1", 80, False)])


def test_large_policy_by_file(target):
    world = target.world
    target.attach(policy=BASE)
    text = "cidrs:\n" + "".join(f"  - allow: {address_of(n)}\n"
                                for n in range(LARGE))
    answer = target.apply(text)
    assert (answer["added"], answer["removed"]) == (LARGE, 2)
    assert target.show()["rules"] == LARGE
    rules = world.ok("rules", target.id)
    assert len(rules) == LARGE
    assert len({rule["id"] for rule in rules}) == LARGE
    target.judge([Try("udp", address_of(n), 80, True)
                  for n in (0, 1, 249, 250, LARGE - 1)] +
                 [Try("udp", address_of(LARGE), 80, False)] +
                 each(A, False, families=(4,)))
    target.apply(BASE)
    target.judge(each(A, True, families=(4,)) +
                 [Try("udp", address_of(0), 80, False)])


def long_rules(api, count):
    """Rules of about 80 bytes each."""
    ports = [f"{low}-{low + 9}/udp" for low in (60000, 61000, 62000)]
    return [api.rule(f"fd30:1234:5678:9abc:{n:x}::/80", ports=ports)
            for n in range(1, count + 1)]


def test_stream_of_more_than_a_message_may_have(box, api):
    box.attach(policy=BASE)
    rules = long_rules(api, 60000)
    policy = api.make_policy(rules)
    assert policy.ByteSize() > 4 << 20
    api.refused("RESOURCE_EXHAUSTED", "Apply", id=box.id, policy=policy)
    box.judge(each(A, True, families=(4,)))

    first = api.make_policy([api.rule("10.30.0.0/16")])
    chunks = [rules[n:n + 5000] for n in range(0, len(rules), 5000)]
    result = api.apply_stream(box.id, first, chunks, dry_run=True)
    assert (result.added, result.removed) == (60001, 2)
    assert box.show()["rules"] == 2
    result = api.apply_stream(box.id, first, chunks)
    assert (result.added, result.removed) == (60001, 2)
    assert box.show()["rules"] == 60001
    box.judge(each(B, True, families=(4,)) + each(A, False, families=(4,)))


def test_broken_stream_changes_nothing(box, api):
    box.attach(policy=BASE)

    def messages():
        yield api.daemon.ApplyStreamRequest(
            id=box.id, policy=api.make_policy([api.rule("10.30.0.0/16")]))
        yield api.daemon.ApplyStreamRequest(rules=[api.rule("10.31.0.0/16")])
        raise RuntimeError("the client breaks off")

    with pytest.raises(grpc.RpcError):
        api.stub.ApplyStream(messages(), timeout=10)
    until(lambda: api.call("GetStatus").dataplane.connected, "still serving")
    assert box.show()["rules"] == 2
    # A bad rule late in the stream is named by its index over all messages;
    # those of the first message's policy are counted apart.
    with pytest.raises(grpc.RpcError) as caught:
        api.apply_stream(box.id, api.make_policy([api.rule("10.1.0.0/16")]),
                         [[api.rule("10.2.0.0/16")], [api.rule("10.3/16")]])
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("rules[1].cidr:")
    assert box.show()["rules"] == 2
    box.judge(each(A, True, families=(4,)))


def test_large_policy_file_goes_as_a_stream(box):
    """The command-line client cuts what does not fit into one message."""
    box.attach()
    ports = ", ".join(f"{low}-{low + 9}/udp" for low in range(60000, 60080, 20))
    text = "cidrs:\n" + "".join(
        f"  - {{allow: 'fd30:1234:5678:9abc:{n:x}::/80', ports: [{ports}]}}\n"
        for n in range(1, 50001)) + "  - allow: 10.20.0.0/16\n"
    assert box.apply(text)["added"] == 50001
    assert box.show()["rules"] == 50001
    box.judge(each(A, True, families=(4,)) + each(B, False))
