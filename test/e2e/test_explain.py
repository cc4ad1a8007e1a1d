# SPDX-License-Identifier: Apache-2.0
"""The answer to "what would become of it, and why" against what becomes of
it."""

import collections
import ipaddress
import os
import random

import pytest

from named import (OTHER, PEER, DnsWorld, Site, box,  # noqa: F401
                   config, place, until, world)

TCP, UDP, GRE, SCTP = 6, 17, 47, 132
NAMES = {GRE: "proto/47", SCTP: "sctp", TCP: "tcp", UDP: "udp"}
POLICY = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, ports: [443/tcp]}
    - {deny: bad.good.test}
cidrs:
  - {allow: 10.20.0.0/16, ports: [80/tcp], ttl: 1h}
  - {deny: 10.20.9.0/24}
  - {allow: 10.30.0.7}
"""


def explain(world, ident, destination):
    return world.ok("explain", ident, destination)[0]


def test_an_address_that_a_rule_opens(place):
    ident = place.attach(POLICY)
    answer = explain(place.world, ident, "10.20.1.1:80")
    assert answer["passes"] and answer["reason"] == "allowed"
    assert answer["rule"]["cidr"] == "10.20.0.0/16"
    assert answer["rule"]["owner"] == "local"
    assert 3500 < answer["remaining_seconds"] <= 3600
    assert answer["mode"] == "allowlist" and answer["generation"] == \
        place.show()["generation"]
    assert answer["nearest_rule"] is None


def test_an_address_that_a_rule_denies(place):
    ident = place.attach(POLICY)
    answer = explain(place.world, ident, "10.20.9.1:80")
    assert not answer["passes"] and answer["reason"] == "deny-rule"
    assert answer["rule"]["cidr"] == "10.20.9.0/24"


def test_the_nearest_rule_of_what_no_rule_opens(place):
    ident = place.attach(POLICY)
    answer = explain(place.world, ident, "10.20.1.1:81")
    assert not answer["passes"] and answer["reason"] == "no-rule"
    assert answer["rule"] is None
    assert answer["nearest_rule"]["cidr"] == "10.20.0.0/16"
    answer = explain(place.world, ident, "192.0.2.1")
    assert answer["nearest_rule"] is None and answer["reason"] == "no-rule"


def test_an_address_that_a_name_has_opened(place):
    ident = place.attach(POLICY)
    assert not explain(place.world, ident, f"{PEER}:443")["passes"]
    place.query("good.test")
    answer = explain(place.world, ident, f"{PEER}:443")
    assert answer["passes"] and answer["rule"] is None
    assert answer["domain_rule"]["domain"] == "good.test"
    assert [row["name"] for row in answer["learnt"]] == ["good.test"]
    assert 50 < answer["remaining_seconds"] <= 62
    answer = explain(place.world, ident, f"{PEER}:80")
    assert not answer["passes"]
    assert answer["nearest_domain_rule"]["domain"] == "good.test"


def test_names(place):
    ident = place.attach(POLICY)
    place.query("good.test")
    both = place.world.ok("explain", ident, "Good.Test.:443")
    assert [one["destination"] for one in both] == ["good.test", PEER]
    assert all(one["passes"] for one in both)
    assert both[0]["domain_rule"]["domain"] == "good.test"
    assert [row["address"] for row in both[0]["learnt"]] == [PEER]
    answer = explain(place.world, ident, "www.good.test")
    assert not answer["passes"] and answer["reason"] == "dns-denied"
    assert answer["domain_rule"] is None
    assert answer["nearest_domain_rule"]["domain"] == "good.test"
    answer = explain(place.world, ident, "bad.good.test")
    assert answer["domain_rule"]["verdict"] == "deny"


def test_settings_that_decide(place):
    ident = place.attach(POLICY)
    world = place.world  # noqa: F811
    assert explain(world, ident, "10.20.1.1:53/udp")["reason"] == "pass-dns"
    assert explain(world, ident, "169.254.169.254:80")["reason"] == "metadata"
    assert explain(world, ident, "127.16.0.1:80")["reason"] == "dns-address"
    assert explain(world, ident, "[2001:db8::1]:853")["reason"] == \
        "dns-encrypted"
    world.ok("mode", ident, "allowlist", "--audit")
    answer = explain(world, ident, "192.0.2.1")
    assert answer["passes"] and answer["audited"] and answer["audit"]
    world.ok("mode", ident, "block-all")
    answer = explain(world, ident, "10.20.1.1:80")
    assert not answer["passes"] and answer["reason"] == "mode"
    world.ok("mode", ident, "disabled")
    assert explain(world, ident, "192.0.2.1")["passes"]
    world.ok("mode", ident, "denylist")
    answer = explain(world, ident, "192.0.2.1/icmp")
    assert answer["passes"] and answer["rule"] is None


@pytest.mark.parametrize("text", [
    "", "1.2.3.4:0", "1.2.3.4:80-90", "1.2.3.4:80/xyz", "[::1", "[::1]x",
    "1.2.3.4:99999", "1.2.3.4:80/icmp", "1.2.3.4/sctp"])
def test_half_a_destination_is_wrong_usage(box, text):
    ident = box.attach(POLICY)
    answer = box.world.ctl("explain", ident, text)
    assert answer.code == 2 and "is no destination" in answer.err, answer


def test_bad_requests_are_refused_by_name(box, api):
    ident = box.attach(POLICY)

    def refused(code, text, **fields):
        api.refused(code, "Explain", text, **fields)

    refused("NOT_FOUND", "no attachment", id="0123456789abcdef" * 2)
    refused("INVALID_ARGUMENT", "id", id="12")
    refused("INVALID_ARGUMENT", "destination", id=ident)
    refused("INVALID_ARGUMENT", "destination", id=ident, destination="a..b")
    refused("INVALID_ARGUMENT", "port", id=ident, destination="a.b", port=1)
    refused("INVALID_ARGUMENT", "port", id=ident, destination="::1")
    refused("INVALID_ARGUMENT", "port", id=ident, destination="::1",
            port=70000)
    refused("INVALID_ARGUMENT", "protocol", id=ident, destination="::1",
            protocol=256)
    refused("INVALID_ARGUMENT", "port", id=ident, destination="::1",
            protocol=1, port=1)


def test_without_sentinel_dp_there_is_nothing_to_read(box):
    ident = box.attach(POLICY)
    box.world.kill_dp()
    until(lambda: box.world.ctl("status").code == 1, "dp is away")
    answer = box.world.ctl("explain", ident, "1.2.3.4")
    assert answer.code == 1 and "away" in answer.err, answer
    box.world.ensure_daemons()


def test_every_answer_is_of_one_policy_while_policies_change(place, api):
    """Two policies in turn, one of which opens the address: each answer has
    the verdict of the generation that it names."""
    ident = place.attach("mode: allowlist\n")
    policies = [api.make_policy([api.rule(f"10.20.{i}.0/24"),
                                 api.rule(f"10.20.{i}.0/{25 + i}", "DENY")])
                for i in (0, 1)]
    seen = collections.Counter()
    for turn in range(60):
        applying = api.stub.Apply.future(api.daemon.ApplyRequest(
            id=ident, policy=policies[turn % 2]), timeout=30)
        asking = [api.stub.Explain.future(api.daemon.ExplainRequest(
            id=ident, destination="10.20.0.200", port=80), timeout=30)
            for _ in range(8)]
        applied = applying.result().generation
        for one in (ask.result() for ask in asking):
            # Policy 0 has the odd generations behind the first one.
            assert one.generation in (applied, applied - 1)
            turn_of = (one.generation - (applied - turn)) % 2
            if one.generation > 1:
                assert one.passes == (turn_of == 0), one
            seen[one.passes] += 1
    assert seen[True] > 50 and seen[False] > 50, seen


# Against the kernel, by many random tuples.

SEED = int(os.environ.get("SN_TEST_SEED", "0")) or random.randrange(1 << 32)
OWNED = {4: (0x0a140000, 0x0a1e0000), 6: (0xfd20 << 112, 0xfd30 << 112)}
PORTS = (22, 80, 443, 853, 5300, 8080)


class Course:
    """Random rules and packets that have something to do with each other."""

    def __init__(self, seed, lengths):
        self.random = random.Random(seed)
        self.lengths = lengths
        self.anchors = [self.address(version) for version in (4, 6)
                        for _ in range(12)]

    def address(self, version):
        """In what servers a and b own."""
        base = self.random.choice(OWNED[version])
        spread = self.random.getrandbits(16 if version == 4 else 112)
        return ipaddress.ip_address(base + spread)

    def near(self):
        """An anchor with some of its low bits turned."""
        anchor = self.random.choice(self.anchors)
        free = 16 if anchor.version == 4 else 112
        bits = self.random.choice((0, 0, 1, 3, 8, free))
        return type(anchor)(int(anchor) ^ self.random.getrandbits(bits or 1) *
                            (bits > 0))

    def ports(self):
        if self.random.random() < 0.3:
            return []
        if self.random.random() < 0.2:
            return [self.random.choice(("proto/47", "icmp", "1000-9000/udp",
                                        "sctp", "udp"))]
        return [f"{self.random.choice(PORTS)}/"
                f"{self.random.choice(('tcp', 'udp', 'sctp'))}"]

    def policy(self, settings):
        lines = {}
        for _ in range(60):
            address = self.near()
            length = self.random.choice(self.lengths[address.version])
            prefix = ipaddress.ip_network((address, length), strict=False)
            ports = self.ports()
            verdict = "deny" if self.random.random() < 0.3 else "allow"
            spec = f", ports: [{', '.join(ports)}]" if ports else ""
            lines[(prefix, tuple(ports))] = \
                f"  - {{{verdict}: '{prefix}'{spec}}}\n"
        count = collections.Counter(prefix for prefix, _ in lines)
        return settings + "cidrs:\n" + "".join(
            line for (prefix, _), line in lines.items() if count[prefix] < 5)

    def packet(self, source):
        protocol = self.random.choice((TCP, TCP, UDP, UDP, SCTP, GRE))
        port = self.random.choice(PORTS + (self.random.randrange(1, 65536),))
        if port == 53 or protocol == GRE:
            port = 8053 if port == 53 else port
        target = self.near()
        if self.random.random() < 0.02:
            target = ipaddress.ip_address("169.254.169.254")
        return protocol, str(target), source, port


HASHED = {4: (16, 24, 29, 32), 6: (16, 48, 64, 128)}
TRIE = {4: tuple(range(12, 33)), 6: tuple(range(12, 129))}
COURSES = {
    "hashed": (HASHED, "mode: allowlist\n"),
    "trie": (TRIE, "mode: allowlist\n"),
    "denylist": (TRIE, "mode: denylist\n"),
    "audit": (HASHED, "mode: allowlist\naudit: true\n"),
}


def explain_all(api, ident, packets):
    """Up to as many at a time as one connection may have."""
    answers = []
    for at in range(0, len(packets), 12):
        waiting = [api.stub.Explain.future(api.daemon.ExplainRequest(
            id=ident, destination=target, protocol=protocol,
            port=0 if protocol == GRE else port), timeout=30)
            for protocol, target, _, port in packets[at:at + 12]]
        answers += [one.result() for one in waiting]
    return answers


def arrived(world, packets):  # noqa: F811
    """Which of them the servers have got, once no more come."""
    flows = [(protocol, None, 0 if protocol == GRE else source, target,
              0 if protocol == GRE else port)
             for protocol, target, source, port in packets]

    def seen():
        return [world.network.a.seen_all(flows=flows),
                world.network.b.seen_all(flows=flows)]

    last = seen()
    while True:
        again = seen()
        if again == last:
            break
        last = again
    return [x or y for x, y in zip(*last)]


def draw(api, site, course, number):
    """Puts random rules in force; returns packets and what Explain says of
    them. Rules that open or close all but a few are drawn again."""
    lengths, settings = COURSES[course]
    for turn in range(20):
        made = Course(f"{SEED} {course} {site.kind} {turn}", lengths)
        (site.apply if site.id else site.attach)(made.policy(settings))
        packets, used = [], set()
        while len(packets) < number:
            packet = made.packet(20000 + len(packets))
            if packet[0] == GRE and packet[1] in used:
                continue
            used.add(packet[1]) if packet[0] == GRE else None
            packets.append(packet)
        answers = explain_all(api, site.id, packets)
        part = sum(answer.passes for answer in answers) / number
        if part > 0.1 and (course == "audit" or part < 0.9):
            return packets, answers
    raise AssertionError(f"seed {SEED}: no balanced rules in {turn} turns")


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("kind, number", [("tc", 2500), ("cgroup", 500)])
def test_it_agrees_with_the_kernel_on_random_tuples(clean, api, course, kind,
                                                    number):
    site = Site(clean, kind)
    sender = clean.network.workload if kind == "tc" else \
        clean.network.agent("router", "box")
    try:
        packets, answers = draw(api, site, course, number)
        clean.network.forget()
        sender.scatter(packets=packets)
        came = arrived(clean, packets)
        wrong = [(packet, answer.reason, answer.passes, came_one)
                 for packet, answer, came_one in zip(packets, answers, came)
                 if answer.passes != came_one]
        assert not wrong, f"seed {SEED}: {len(wrong)} of {number}: {wrong[:5]}"
        tally = collections.Counter(came)
        assert tally[True] > number / 20, tally
        assert course == "audit" or tally[False] > number / 20, tally
    finally:
        if kind == "cgroup":
            sender.end()
