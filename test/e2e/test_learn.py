# SPDX-License-Identifier: Apache-2.0
"""Audit first, then block: what a workload wanted becomes a policy under which
the same workload runs with nothing blocked. Real traffic throughout."""

import pytest
import yaml

from named import (OTHER, PEER, box, events, place,  # noqa: F401
                   until, world)

AUDIT = """
mode: allowlist
audit: true
dns:
  domains:
    - {allow: good.test, ports: [443/tcp]}
    - {deny: bad.test}
cidrs:
  - {allow: 10.20.0.0/16, ports: [443/tcp]}
  - {deny: 10.30.0.0/24}
"""
PLAIN = "10.30.1.9"  # by address, no name


def work(place):  # noqa: F811
    """A workload: two names, an address; whether each connection was made."""
    done = []
    for name, port in (("good.test", 443), ("good.test", 80),
                       ("other.test", 80), ("other.test", 8080)):
        answer = place.query(name)
        done.append(answer.get("rcode") == "NOERROR" and
                    place.is_open(answer["addresses"][0], port))
    done.append(place.is_open(PLAIN, 443))
    done.append(place.query("deep.other.test").get("rcode") == "NOERROR")
    return done


def seen(place):  # noqa: F811
    rows = place.world.ok("learn", place.id)["seen"]
    return {(row["name"] or row["address"], row["port"]) for row in rows}


WANTED = {("good.test", 80), ("other.test", 80), ("other.test", 8080),
          ("other.test", 0), ("deep.other.test", 0), (PLAIN, 443)}


def learn(place, *options):  # noqa: F811
    answer = place.world.ctl("learn", place.id, *options)
    assert answer.code == 0, answer
    return answer.out


def test_learn_then_apply_then_nothing_is_blocked(place):
    place.attach(AUDIT)
    assert all(work(place))
    until(lambda: seen(place) == WANTED, f"{WANTED} were seen")
    text = learn(place)
    assert "audit" not in text.replace("# ", "")
    assert f"allow: '{PLAIN}', ports: ['443/tcp']" in text
    assert "allow: 'other.test', ports: ['80/tcp', '8080/tcp']" in text
    assert "allow: 'deep.other.test', ports: ['proto/255']" in text
    assert OTHER not in text and PEER not in text
    place.apply(text)
    shown = place.show()
    assert (shown["mode"], shown["audit"]) == ("allowlist", False)
    before = shown["packets_blocked"], shown["dns_blocked"], \
        shown["calls_refused"]
    assert all(work(place))
    shown = place.show()
    assert (shown["packets_blocked"], shown["dns_blocked"],
            shown["calls_refused"]) == before
    # And nothing else is open.
    assert not place.is_open(PLAIN, 80)
    assert place.query("third.test")["rcode"] == "REFUSED"


def test_diff_says_what_a_policy_would_change(place):
    place.attach(AUDIT)
    assert all(work(place))
    until(lambda: seen(place) == WANTED, "all was seen")
    path = place.world.folder / "learnt.yaml"
    path.write_text(learn(place))
    rows = place.world.ok("diff", place.id, path)
    answer = place.world.ctl("diff", place.id, path, "-o", "yaml")
    assert answer.out.startswith("- change: ")
    assert yaml.safe_load(answer.out) == rows
    changes = {(row["name"] or row["address"], row["port"]): row["change"]
               for row in rows}
    assert {key: changes[key] for key in WANTED} == dict.fromkeys(
        WANTED, "+ allowed")
    assert changes[("good.test", 0)] == "stays allowed"
    path.write_text("mode: allowlist\ncidrs: [{allow: 10.30.1.0/24}]\n")
    answer = place.world.ctl("diff", place.id, path)
    assert answer.code == 0
    lines = [line.split() for line in answer.out.splitlines()]
    assert ["-", "blocked", "good.test", "-", "allowed", "dns-denied"] in [
        line[:6] for line in lines]
    assert ["+", "allowed", PLAIN, "443/tcp", "no-rule", "allowed"] in [
        line[:6] for line in lines]
    assert "1 would become allowed, 1 blocked;" in answer.out
    # What it says comes true.
    place.apply(path.read_text())
    assert place.is_open(PLAIN, 443)
    assert place.query("good.test")["rcode"] == "REFUSED"
    assert place.query("other.test")["rcode"] == "REFUSED"


def test_what_is_denied_is_not_learnt(place):
    place.world.zone(bad={"A": [60, "203.0.113.66"]})
    place.attach(AUDIT)
    place.query("bad.test")
    place.is_open("10.30.0.1", 443)
    place.is_open("169.254.169.254", 80)
    until(lambda: len(seen(place)) == 3, "all was seen")
    text = learn(place)
    rules = [line for line in text.splitlines() if "allow:" in line]
    assert not any(word in line for line in rules
                   for word in ("bad.test", "10.30.0.1", "169.254"))
    assert "# not opened: bad.test: a rule denies the name" in text
    assert "# not opened: 10.30.0.1: a rule denies it" in text
    assert "# not opened: 169.254.169.254: cloud metadata" in text


def test_wildcards_only_where_told(box):
    box.world.zone(any__w={"A": [60, OTHER]})
    box.attach(AUDIT)
    for name in ("a.w.test", "b.w.test"):
        box.query(name)
        assert box.is_open(OTHER, 80)
    box.query("other.test")
    until(lambda: len(seen(box)) >= 4, "all was seen")
    assert "subdomains" not in learn(box)
    text = learn(box, "--wildcard", "w.test")
    assert "{allow: 'w.test', subdomains: true, ports: ['80/tcp']" in text
    assert "a.w.test" not in text and "allow: 'other.test'" in text
    box.apply(text)
    assert box.query("c.w.test")["rcode"] == "NOERROR"
    answer = box.world.ctl("learn", box.id, "--wildcard", "*.test")
    assert answer.code == 2 and "--wildcard" in answer.err


def test_names_that_were_refused_come_without_ports(box):
    box.attach("mode: allowlist\n")
    assert box.query("other.test")["rcode"] == "REFUSED"
    text = learn(box)
    assert "{allow: 'other.test'} # 1x, was refused" in text
    box.apply(text)
    assert box.query("other.test")["rcode"] == "NOERROR"
    assert box.is_open(OTHER, 80)


def test_more_ports_than_a_rule_has_become_the_protocol(box):
    box.attach("mode: allowlist\naudit: true\n")
    box.query("other.test")
    for port in range(8000, 8012):
        box.client.touch(address=OTHER, port=port, timeout_s=0.01)
    until(lambda: len(seen(box)) == 13, "all was seen")
    assert "allow: 'other.test', ports: ['tcp']" in learn(box)
    box.apply(learn(box))


def test_settings_and_rules_in_force_are_kept(box):
    box.attach("""
mode: denylist
inbound: block
dns:
  mode: allowlist
  upstreams: ["10.20.0.53"]
  denied: nxdomain
  allow_private: true
  domains:
    - {allow: x.test, subdomains: true, ttl_floor: 5m}
cidrs:
  - {allow: 2001:db8::/32, ports: [80/tcp, icmp6]}
""")
    text = learn(box)
    for line in ("inbound: block", "  mode: allowlist",
                 "  upstreams: ['10.20.0.53']", "  denied: nxdomain",
                 "  allow_private: true",
                 "    - {allow: 'x.test', subdomains: true, ttl_floor: 300s}",
                 "  - {allow: '2001:db8::/32', ports: ['80/tcp', 'icmp6']}"):
        assert line in text.splitlines(), text
    box.apply(text)
    assert [line for line in learn(box).splitlines() if "#" not in line] == \
        [line for line in text.splitlines() if "#" not in line]


def test_since_leaves_out_what_is_older(box, api):
    box.attach(AUDIT)
    box.query("other.test")
    rows = box.world.ok("learn", box.id)["seen"]
    assert len(rows) == 1 and rows[0]["count"] == 1
    assert len(box.world.ok("learn", box.id, "--since", "1h")["seen"]) == 1
    until(lambda: not box.world.ok("learn", box.id, "--since", "1s")["seen"],
          "it is over a second ago")


@pytest.mark.parametrize("arguments, code, text", [
    (("learn", "0123456789abcdef" * 2), 1, "no attachment"),
    (("learn",), 2, "usage"),
    (("diff", "{id}", "/nonexistent"), 1, "No such file"),
    (("diff", "{id}"), 2, "usage"),
])
def test_bad_input(box, arguments, code, text):
    ident = box.attach(AUDIT)
    answer = box.world.ctl(*(part.format(id=ident) for part in arguments))
    assert answer.code == code and text in answer.err, answer
