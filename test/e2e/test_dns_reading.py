# SPDX-License-Identifier: Apache-2.0
"""controld/dns against dnspython: whatever message both accept, they agree on
its question, on the addresses at the end of its chain, and on its TTL."""

import os
import random
import struct
import subprocess
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("SENTINEL_BUILD", "build")
HEADER = 12
TTL_MAX = 86400
CHAIN_MAX = 16
IN = dns.rdataclass.IN
T = dns.rdatatype
DNSSEC = (T.RRSIG, T.NSEC, T.NSEC3)
NAMES = ["a.test.", "B.test.", "c.a.TEST.", "d.example.", "old.test.",
         "x.old.test.", "x.new.test.", "new.test.", "test.", "."]


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Messages, each with b"q" or b"a", to the lines of tools/dns_read.c."""
    program = tmp_path_factory.mktemp("dns") / "dns_read"
    subprocess.run(
        ["cc", "-O1", "-D_GNU_SOURCE", f"-I{ROOT}", "-Wall", "-Werror", "-o",
         program, ROOT / "test/e2e/tools/dns_read.c", BUILD / "libcp.a",
         BUILD / "libshared.a", "-lidn2"], check=True)

    def run(kind, messages):
        framed = b"".join(kind + struct.pack("!H", len(m)) + m
                          for m in messages)
        done = subprocess.run([program], input=framed, check=True, timeout=60,
                              stdout=subprocess.PIPE)
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        assert len(lines) == len(messages)
        return lines
    return run


def parse(wire):
    """None: dnspython refuses it (which it does in several ways)."""
    try:
        return dns.message.from_wire(wire, one_rr_per_rrset=True,
                                     ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, struct.error, IndexError,
            NotImplementedError, UnicodeError, AssertionError):
        return None


def mutate(rng, wire):
    """One or two changes of the kinds that hurt parsers."""
    wire = bytearray(wire)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(wire))
        kind = rng.randrange(8)
        if kind == 0:
            wire[at] = rng.randrange(256)
        elif kind == 1:
            wire[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            wire[at:at + 2] = struct.pack("!H", 0xc000 | rng.randrange(
                len(wire) + 4))
        elif kind == 3 and len(wire) > HEADER + 1:
            del wire[rng.randrange(HEADER, len(wire)):]
        elif kind == 4:
            wire[at:at] = rng.randbytes(rng.randint(1, 12))
        elif kind == 5:
            end = min(len(wire), at + rng.randint(1, 30))
            wire[at:at] = wire[at:end]
        elif kind == 6:
            wire[rng.choice((5, 7, 9, 11))] = rng.randrange(5)
        else:
            wire[at:at + 4] = rng.choice(
                (b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff" * 4))
    return bytes(wire)


def random_record(rng, owner, ttl):
    """A record that answers of many kinds have."""
    name = rng.choice(NAMES)
    kind, data = rng.choice((
        ("A", f"192.0.2.{rng.randrange(8)}"),
        ("A", f"192.0.2.{rng.randrange(8)}"),
        ("AAAA", f"2001:db8::{rng.randrange(8)}"),
        ("CNAME", name), ("CNAME", name), ("DNAME", name),
        ("MX", f"10 {name}"), ("SRV", f"1 2 443 {name}"), ("TXT", '"text"'),
        ("NS", name), ("RRSIG", "A 8 2 60 20300101000000 20200101000000 1 "
                                "test. YWJj"),
        ("HTTPS", "1 . alpn=h2 ipv4hint=192.0.2.9")))
    return dns.rrset.from_text(owner, ttl, "IN", kind, data)


def random_answer(rng):
    """A chain, often whole, among records that have nothing to do with it."""
    name = rng.choice(NAMES)
    wanted = rng.choice(("A", "A", "A", "AAAA", "CNAME", "HTTPS", "MX"))
    message = dns.message.make_response(
        dns.message.make_query(name, wanted, use_edns=rng.choice((False, 0))),
        recursion_available=True)
    records = []
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        target = rng.choice(NAMES)
        records.append(dns.rrset.from_text(name, rng.randrange(600), "IN",
                                           "CNAME", target))
        name = target
    for _ in range(rng.randrange(4)):
        records.append(dns.rrset.from_text(
            name, rng.randrange(600), "IN", *(
                ("AAAA", f"2001:db8::{rng.randrange(8)}")
                if wanted == "AAAA" else ("A", f"192.0.2.{rng.randrange(8)}"))))
    for _ in range(rng.randrange(3)):
        records.append(random_record(rng, rng.choice(NAMES),
                                     rng.randrange(600)))
    rng.shuffle(records)
    message.answer.extend(records)
    if rng.randrange(3) == 0:
        message.authority.append(random_record(rng, "test.", 30))
    return message.to_wire()


def random_query(rng):
    message = dns.message.make_query(
        rng.choice(NAMES), rng.choice(("A", "AAAA", "HTTPS", "NS", "ANY")),
        use_edns=rng.choice((False, 0)), want_dnssec=rng.randrange(4) == 0)
    if message.edns >= 0 and rng.randrange(2):
        message.use_edns(0, message.ednsflags, 1232, options=[
            dns.edns.GenericOption(10, b"12345678")])
    return message.to_wire()


class Contradiction(Exception):
    """The answer's records do not make one chain."""


class Reference:
    """The addresses and the TTL of an answer that dnspython has parsed."""

    def __init__(self, message):
        self.question = message.question[0]
        self.answer = [rrset for rrset in message.answer
                       if rrset.rdclass == self.question.rdclass]
        self.authority = [rrset for rrset in message.authority
                          if rrset.rdclass == self.question.rdclass]
        self.ttl = TTL_MAX
        self.names = [self.question.name]
        self.kept = []
        if self.question.rdtype not in (T.CNAME, T.RRSIG, T.NSEC, T.ANY):
            self.follow()
        self.end = [rrset for rrset in self.answer
                    if rrset.name == self.names[-1] and
                    rrset.rdtype == self.question.rdtype]
        for rrset in self.end:
            self.keep(rrset)
        covered = set(self.kept)
        for rrset in self.answer:
            if rrset.rdtype == T.RRSIG and \
                    (rrset.name, rrset[0].type_covered) in covered:
                self.keep(rrset)
        for rrset in self.authority:
            if rrset.rdtype in DNSSEC:
                self.keep(rrset)

    def keep(self, rrset):
        ttl = rrset.ttl if rrset.ttl < 1 << 31 else 0
        self.ttl = min(self.ttl, ttl)
        self.kept.append((rrset.name, rrset.rdtype))

    def follow(self):
        while True:
            name = self.names[-1]
            found = [rrset for rrset in self.answer
                     if rrset.rdtype == T.CNAME and rrset.name == name]
            targets = {rrset[0].target for rrset in found}
            if not targets:
                return
            target = targets.pop()
            if targets or target in self.names or len(self.names) > CHAIN_MAX:
                raise Contradiction
            for rrset in found:
                self.keep(rrset)
            self.keep_dname(name, target)
            self.names.append(target)

    def keep_dname(self, name, target):
        for rrset in self.answer:
            if rrset.rdtype != T.DNAME or rrset.name == name or \
                    not name.is_subdomain(rrset.name):
                continue
            try:
                made = name.relativize(rrset.name).derelativize(
                    rrset[0].target)
            except dns.name.NameTooLong:
                continue
            if made == target:
                self.keep(rrset)
                return

    def addresses(self):
        if self.question.rdtype not in (T.A, T.AAAA) or \
                self.question.rdclass != IN:
            return set()
        return {rrset[0].to_wire().hex() for rrset in self.end}


def compare_answer(wire, line):
    """True: both accept it, and it has addresses."""
    message = parse(wire)
    if message is None or line[1] != "0" or len(message.question) != 1:
        return False
    rcode, ttl, reply, addresses = (int(line[2]), int(line[3]),
                                    bytes.fromhex(line[4]), line[5:])
    assert rcode == message.rcode()
    assert len(set(addresses)) == len(addresses)
    if rcode != 0:
        assert not addresses
        return False
    try:
        reference = Reference(message)
    except Contradiction:
        pytest.fail(f"accepted in spite of a contradiction: {wire.hex()}")
    assert set(addresses) == reference.addresses(), wire.hex()
    if addresses:
        assert ttl == reference.ttl, wire.hex()
    compare_reply(message, reply, set(addresses), ttl)
    return bool(addresses)


def compare_reply(message, reply, addresses, ttl):
    """dnspython finds in our reply the question and what was learnt, and
    nothing of other owners."""
    made = dns.message.from_wire(reply, one_rr_per_rrset=True)
    assert made.question == message.question
    again = Reference(made)
    assert again.addresses() == addresses
    assert all(rrset.ttl == ttl for rrset in made.answer + made.authority)
    assert not made.additional
    if made.question[0].rdtype in (T.A, T.AAAA):
        assert sorted(again.kept, key=str) == sorted(
            ((rrset.name, rrset.rdtype) for rrset in made.answer), key=str)


def test_answers_are_understood_like_dnspython(read):
    rng = random.Random(4)
    whole = [random_answer(rng) for _ in range(1500)]
    useful = [wire for wire, line in zip(whole, read(b"a", whole))
              if compare_answer(wire, line)]
    assert len(useful) > 300
    broken = [mutate(rng, rng.choice(useful)) for _ in range(15000)]
    n_alike = sum(map(compare_answer, broken, read(b"a", broken)))
    assert n_alike > 2000


def test_whole_answers_are_refused_for_contradictions_only(read):
    rng = random.Random(5)
    whole = [random_answer(rng) for _ in range(1500)]
    n_refused = 0
    for wire, line in zip(whole, read(b"a", whole)):
        try:
            Reference(parse(wire))
            assert line[1] == "0", wire.hex()
        except Contradiction:
            assert line[1] == "1", wire.hex()
            n_refused += 1
    assert 50 < n_refused < 1000


def test_queries_are_understood_like_dnspython(read):
    rng = random.Random(6)
    whole = [random_query(rng) for _ in range(500)]
    broken = [mutate(rng, rng.choice(whole)) for _ in range(15000)]
    n = 0
    for wire, line in zip(whole + broken, read(b"q", whole + broken)):
        message = parse(wire)
        if line[1] != "0" or message is None:
            assert wire not in whole
            continue
        question = message.question[0]
        assert len(message.question) == 1
        assert bytes.fromhex(line[2]) == question.name.canonicalize().to_wire()
        assert [int(word) for word in line[3:]] == [
            question.rdtype, question.rdclass, message.edns >= 0,
            message.edns >= 0 and bool(message.ednsflags & dns.flags.DO)]
        n += 1
    assert n > 2500
