# SPDX-License-Identifier: Apache-2.0
"""Upstream servers that lie and clients that misbehave: none opens anything,
crashes the daemon or keeps another attachment waiting."""

import random
import struct

import dns.message
import dns.name
import dns.rrset
import pytest

from lab import ANY_SERVER, until

ALLOW = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, subdomains: true}
"""
EVIL = "203.0.113.66"


def reply(name, *sets, sections=("answer",), rcode=0):
    """An answer to a question for A of the name, in hex; sets are (owner,
    ttl, type, value)."""
    query = dns.message.make_query(name, "A")
    made = dns.message.make_response(query)
    made.set_rcode(rcode)
    for section in sections:
        getattr(made, section).extend(
            dns.rrset.from_text(owner, ttl, "IN", kind, value)
            for owner, ttl, kind, value in sets)
    return made.to_wire()


def lies(name):
    """What a lying server may say of a name that is allowed; in none of them
    EVIL is an address of the name."""
    a, evil = dns.name.from_text(name).to_wire(), "evil.example."
    question = struct.pack("!HHHHHH", 0, 0x8180, 1, 1, 0, 0) + a + \
        b"\0\1\0\1"
    record = b"\0\1\0\1\0\0\0\x3c\0\4" + bytes(map(int, EVIL.split(".")))
    yield "other owner", reply(name, (evil, 60, "A", EVIL))
    yield "authority", reply(name, (name, 60, "A", EVIL),
                             sections=("authority",))
    yield "additional", reply(name, (name, 60, "A", EVIL),
                              sections=("additional",))
    yield "chain from elsewhere", reply(
        name, (evil, 60, "CNAME", "x.example."), ("x.example.", 60, "A", EVIL))
    yield "loop of aliases", reply(
        name, (name, 60, "CNAME", evil), (evil, 60, "CNAME", name),
        ("x.example.", 60, "A", EVIL))
    yield "compression loop", question[:-4 - len(a)] + a + b"\0\1\0\1" + \
        b"\xc0" + bytes([len(question)]) + record
    yield "forward pointer", question + b"\xc0\xff" + record
    yield "cut record", question + b"\xc0\x0c" + record[:-2]
    yield "wrong length", question + b"\xc0\x0c" + record[:8] + b"\0\5" + \
        record[10:]
    yield "count too high", question.replace(b"\0\1\0\0\0\0", b"\0\7\0\0\0\0",
                                             1) + b"\xc0\x0c" + record
    yield "another question", reply("other.good.test.",
                                    ("other.good.test.", 60, "A", EVIL))
    yield "another class", question + b"\xc0\x0c\0\1\0\3" + record[4:]
    yield "query for an answer", b"\0\0\1\0" + question[4:] + b"\xc0\x0c" + \
        record
    yield "refused with records", reply(name, (name, 60, "A", EVIL), rcode=5)
    yield "rubbish", bytes(random.Random(7).randbytes(300))
    yield "empty", b"\0\0\x81\x80" + bytes(8)


def test_lies_of_an_upstream_server_open_nothing(site):
    site.attach(ALLOW)
    cases = list(lies("x.good.test."))
    for number, (what, _) in enumerate(cases):
        name = f"lie{number}.good.test."
        made = dict(lies(name))[what]
        site.world.upstream.put_raw(raw={name: [made.hex()]})
    for number, (what, _) in enumerate(cases):
        answer = site.query(f"lie{number}.good.test", timeout_s=10)
        assert EVIL not in answer.get("addresses", []), what
        assert not site.is_open(EVIL), what
    assert all(row["address"] != EVIL for row in site.learnt())
    assert site.world.cp.poll() is None
    assert site.query("good.test")["result"] == "ok"


@pytest.mark.parametrize("ttl", [0, 1 << 31, (1 << 32) - 1])
def test_strange_lives_are_short(site, ttl):
    name = f"ttl{ttl}.good.test."
    query = dns.message.make_query(name, "A")
    made = dns.message.make_response(query).to_wire()
    made = made[:6] + b"\0\1" + made[8:] + b"\xc0\x0c\0\1\0\1" + \
        struct.pack("!I", ttl) + b"\0\4" + bytes([203, 0, 113, 77])
    site.world.upstream.put_raw(raw={name: [made.hex()]})
    site.attach(ALLOW)
    answer = site.query(name)
    assert answer["addresses"] == ["203.0.113.77"]
    assert answer["records"][0][2] == 0
    assert site.is_open("203.0.113.77")
    until(lambda: not site.is_open("203.0.113.77"), "it lapses")


def test_duplicate_and_late_answers_change_nothing(site):
    right = reply("dup.good.test.", ("dup.good.test.", 60, "A",
                                     "203.0.113.78")).hex()
    wrong = reply("dup.good.test.", ("dup.good.test.", 60, "A", EVIL)).hex()
    site.world.upstream.put_raw(raw={"dup.good.test.": [right, wrong, wrong]})
    site.attach(ALLOW)
    assert site.query("dup.good.test")["addresses"] == ["203.0.113.78"]
    assert site.query("dup.good.test")["addresses"] == ["203.0.113.78"]
    assert not site.is_open(EVIL)


def test_broken_queries_are_answered_or_ignored(site):
    site.world.zone(good={"A": [60, "203.0.113.1"]})
    site.attach(ALLOW)
    dice = random.Random(11)
    good = dns.message.make_query("good.test.", "A").to_wire()
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        del data[dice.randrange(len(data)):]
        site.client.send_raw(data=bytes(data).hex(), server=ANY_SERVER[4],
                             timeout_s=0.02)
    long_name = b"\x3f" + b"a" * 63
    for body in (long_name * 4 + b"\0", b"\x40abc\0", b"\xc0\x0c", b"\x05ab",
                 long_name * 3 + b"\x3e" + b"b" * 62 + b"\0"):
        site.client.send_raw(
            data=(good[:12] + body + b"\0\1\0\1").hex(),
            server=ANY_SERVER[4], timeout_s=0.2)
    assert site.query("good.test")["rcode"] == "NOERROR"
    assert site.query("good.test", protocol="tcp")["rcode"] == "NOERROR"


def test_slow_and_idle_connections_hold_nobody_up(sites):
    world = sites["tc"].world
    world.zone(good={"A": [60, "203.0.113.1"]})
    for site in sites.values():
        site.attach(ALLOW)
    crowd = sites["cgroup"].client
    crowd.call("crowd", server=ANY_SERVER[4], number=2000)
    assert sites["tc"].query("good.test", protocol="tcp")["rcode"] == "NOERROR"
    assert sites["cgroup"].query("good.test")["rcode"] == "NOERROR"
    answer = crowd.send_raw(
        data=(b"\xff\xff" + b"\0" * 65535).hex(), server=ANY_SERVER[4],
        protocol="tcp", timeout_s=2)
    assert answer is not None
    query = dns.message.make_query("good.test.", "A").to_wire()
    answer = sites["cgroup"].client.send_raw(
        data=(struct.pack("!H", len(query)) + query).hex(),
        server=ANY_SERVER[4], protocol="tcp", chunk=1, timeout_s=2)
    assert len(answer) > 2 * len(query)
    crowd.call("disperse")


@pytest.mark.parametrize("kind", ["tc", "cgroup"])
def test_a_flood_of_one_tenant_leaves_the_other_its_answers(sites, kind):
    """By another listener, and by the same one, whose buffer they share."""
    world = sites["tc"].world
    world.zone(good={"A": [60, "203.0.113.1"]})
    for site in sites.values():
        site.attach(ALLOW)
    attached = world.attach(str(world.cgroup("crowd")), policy=ALLOW)
    crowds = [world.client("router", f"crowd/{n}") for n in range(3)]
    for crowd in crowds:
        crowd.call("flood", server=ANY_SERVER[4], seconds=3)
    answers = [sites[kind].query("good.test", timeout_s=2) for _ in range(100)]
    lost = [answer for answer in answers if answer["result"] != "ok"]
    for crowd in crowds:
        crowd.call("flooded")
    assert not lost
    assert world.reasons(attached)["dns-rate"] > 1000
