# SPDX-License-Identifier: Apache-2.0
"""DNS mode proxy: the control plane decides about each name."""

import json
import signal
import threading
import time

import pytest

from named import OTHER, PEER, config, place, world  # noqa: F401
from planes import PLAIN, Plane
from test_control import field
from test_control_attach import one

WORLD = {"config": config() + PLAIN + "  query_timeout: 700ms\n"
         "  subscribe_timeout: 3s\n  policy_events: 100\n"}


class Answering(Plane):
    """Answers queries by a table: name to fields, bytes, or None to fail; what
    is not in it is not answered at all."""

    table = {}

    def read(self, child):
        for line in child.stdout:
            entry = json.loads(line)
            if "query" not in entry:
                self.take(entry)
                continue
            asked = self.pb.DnsQueryRequest.FromString(
                bytes.fromhex(entry["data"]))
            with self.changed:
                self.queries.append(asked)
                self.changed.notify_all()
            if asked.name in self.table:
                self.answer(entry["query"], self.table[asked.name])

    def answer(self, number, fields):
        data = fields
        if isinstance(fields, dict):
            data = self.pb.DnsQueryResponse(**fields).SerializeToString()
        data = data and data.hex()
        child = self.child
        if child:
            child.stdin.write(json.dumps({"answer": number, "data": data}) +
                              "\n")
            child.stdin.flush()

    def asked(self, name):
        return [query for query in self.queries if query.name == name]


@pytest.fixture
def plane(clean, stubs):
    made = Answering(clean, stubs)
    made.table = {
        "good.test": {"allow": True, "open": True, "ttl_seconds": 60},
        "given.test": {"allow": True, "open": True, "ttl_seconds": 60,
                       "addresses": [OTHER, "2001:db8:b::9"]},
        "shut.test": {"allow": True, "addresses": [OTHER]},
        "denied.test": {"ttl_seconds": 60},
        "once.test": {"allow": True, "addresses": [PEER]},
        "broken.test": {"allow": True, "addresses": ["10.0.0.300"]},
        "failed.test": None,
    }
    yield made
    made.close()


def attach(plane, site):
    """Under the control plane, which is asked about every name."""
    plane.sync()
    world = site.world
    thread = threading.Thread(target=site.attach, args=["mode: allowlist\n"])
    thread.start()
    ident = one(world)
    update = plane.bulk()
    update.dns.mode = plane.policy.DNS_MODE_PROXY
    plane.do(ident, 1, subscribed_ack=plane.pb.SubscribedAck(policy=update))
    thread.join(10)
    assert site.id == ident
    return ident


def test_the_control_plane_decides(plane, place):  # noqa: F811
    ident = attach(plane, place)
    answer = place.query("good.test")
    assert answer["addresses"] == [PEER]
    asked = plane.asked("good.test")[0]
    assert (asked.id, asked.type, asked.daemon_id) == \
        (ident, 1, place.world.ok("status")["daemon_id"])
    assert place.is_open(PEER)

    assert not place.is_open(OTHER)
    assert place.query("given.test")["addresses"] == [OTHER]
    assert place.is_open(OTHER)
    assert place.query("given.test", "AAAA")["addresses"] == ["2001:db8:b::9"]
    assert [query.type for query in plane.asked("given.test")] == [1, 28]

    assert place.query("denied.test")["rcode"] == "REFUSED"
    event = plane.event("policy_event", lambda event:
                        event.name == "denied.test")
    assert (event.id, event.reason, event.name_type, event.audited) == \
        (ident, "dns-denied", 1, False)
    for name in ("broken.test", "failed.test", "silent.test"):
        assert place.query(name)["rcode"] == "SERVFAIL", name


def test_explaining_asks_nobody(plane, place):  # noqa: F811
    ident = attach(plane, place)
    answer, = place.world.ok("explain", ident, "good.test")
    assert (answer["passes"], answer["reason"]) == (False, "control-plane")
    text = place.world.ctl("explain", ident, "good.test").out
    assert text.startswith("ASKED  good.test: control-plane\n")
    assert not plane.asked("good.test")
    place.query("good.test")
    answer, = place.world.ok("explain", ident, "good.test")
    assert [(row["address"], row["rule_id"]) for row in answer["learnt"]] == \
        [(PEER, 0)]
    assert len(plane.asked("good.test")) == 1


def test_what_is_not_to_be_opened_is_not(plane, place):  # noqa: F811
    attach(plane, place)
    assert place.query("shut.test")["addresses"] == [OTHER]
    assert not place.is_open(OTHER)


def padded(plane, n_bytes):
    """An answer with a field of a later version, which is no mistake."""
    return (plane.pb.DnsQueryResponse(allow=True, addresses=[OTHER])
            .SerializeToString() + field(15, bytes(n_bytes)))


def test_large_answers_are_not_taken_in(plane, place):  # noqa: F811
    """Many may come at one time, and none has to be large."""
    attach(plane, place)
    plane.table["small.test"] = padded(plane, 1000)
    plane.table["large.test"] = padded(plane, 100_000)
    assert place.query("small.test")["addresses"] == [OTHER]
    assert place.query("large.test")["rcode"] == "SERVFAIL"


def test_answers_are_kept_for_the_stated_time(plane, place):  # noqa: F811
    ident = attach(plane, place)
    for _ in range(3):
        assert place.query("given.test")["addresses"] == [OTHER]
        assert place.query("denied.test")["rcode"] == "REFUSED"
        assert place.query("once.test")["addresses"] == [PEER]
    assert len(plane.asked("given.test")) == 1
    assert len(plane.asked("denied.test")) == 1
    assert len(plane.asked("once.test")) == 3
    # A changed policy asks again.
    plane.table["denied.test"] = {"allow": True, "addresses": [PEER]}
    assert place.query("denied.test")["rcode"] == "REFUSED"
    plane.do(ident, 2, allow_cidr=plane.pb.AllowCIDR(cidr="10.0.0.0/8"))
    assert place.query("denied.test")["addresses"] == [PEER]


def test_without_a_control_plane_names_fail(plane, place):  # noqa: F811
    attach(plane, place)
    plane.kill()
    place.world.network.forget()
    assert place.query("good.test")["rcode"] == "SERVFAIL"


def test_a_stuck_control_plane_holds_up_no_other_name(plane, place):  # noqa: F811
    """Names that rules decide are answered, and packets judged, while many
    that the control plane has to decide wait for it."""
    ident = attach(plane, place)
    plane.do(ident, 2, allow_domain=plane.pb.AllowDomain(
        domain="other.test", subdomains=True))
    plane.child.send_signal(signal.SIGSTOP)
    took_s = []
    for number in range(20):
        place.query(f"wait{number}.test", timeout_s=0.001)
        began = time.monotonic()
        answer = place.query("deep.other.test" if number % 2 else "other.test")
        took_s.append(time.monotonic() - began)
        assert answer["rcode"] == "NOERROR"
        assert place.is_open(answer["addresses"][0])
    assert sorted(took_s)[10] < 0.1 and max(took_s) < 0.7, took_s
    assert place.query("late.test")["rcode"] == "SERVFAIL"
    plane.child.send_signal(signal.SIGCONT)
