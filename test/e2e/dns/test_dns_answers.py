# SPDX-License-Identifier: Apache-2.0
"""What is asked, what is answered, and what goes upstream."""

import pytest

from lab import ANY_SERVER, config

# A server that is slow on a busy machine is not asked again.
WORLD = {"config": config(timeouts="{retry: 3s}")}

ALLOW = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, subdomains: true}
    - {deny: bad.good.test, subdomains: true}
    - {allow: fine.bad.good.test}
    - {allow: only.test}
"""


@pytest.fixture(autouse=True)
def records(world):
    """The cache is the world's: what a test must see go upstream has a name of
    its own there."""
    world.zone(good={"A": [60, "203.0.113.1"], "AAAA": [60, "2001:db8:b::1"],
                     "TXT": [60, '"hello"'], "MX": [60, "10 mx.good.test."]},
               www__good={"CNAME": [60, "good.test."]},
               bad__good={"A": [60, "203.0.113.2"]},
               x__bad__good={"A": [60, "203.0.113.2"]},
               fine__bad__good={"A": [60, "203.0.113.3"]},
               only={"A": [60, "203.0.113.4"]},
               below__only={"A": [60, "203.0.113.5"]},
               other={"A": [60, "203.0.113.6"]})


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("family", [4, 6])
def test_any_server_that_is_asked_is_the_resolver(site, family, protocol):
    site.attach(ALLOW)
    answer = site.query("good.test", family=family, protocol=protocol)
    assert answer["result"] == "ok", answer
    assert (answer["rcode"], answer["addresses"]) == \
        ("NOERROR", ["203.0.113.1"])
    assert (answer["from"], answer["port"]) == (ANY_SERVER[family], 53)
    assert site.is_open("203.0.113.1")
    assert not site.is_open("203.0.113.6")


def test_the_most_specific_rule_decides(site):
    site.attach(ALLOW)
    kind = {"tc": "A", "cgroup": "AAAA"}[site.kind]
    rcodes = {name: site.query(name, kind)["rcode"] for name in (
        "good.test", "WWW.Good.TEST", "bad.good.test", "x.bad.good.test",
        "fine.bad.good.test", "below.fine.bad.good.test", "only.test",
        "below.only.test", "other.test", "test", "notgood.test")}
    assert rcodes == {
        "good.test": "NOERROR", "WWW.Good.TEST": "NOERROR",
        "bad.good.test": "REFUSED", "x.bad.good.test": "REFUSED",
        "fine.bad.good.test": "NOERROR",
        "below.fine.bad.good.test": "REFUSED", "only.test": "NOERROR",
        "below.only.test": "REFUSED", "other.test": "REFUSED",
        "test": "REFUSED", "notgood.test": "REFUSED"}
    asked = {line.split()[0] for line in site.world.upstream.take_asked()}
    allowed = {"good.test.", "www.good.test.", "fine.bad.good.test.",
               "only.test."}
    assert "only.test." in asked and asked <= allowed


def test_case_is_kept_and_all_types_pass(site):
    site.attach(ALLOW)
    answer = site.query("GoOd.tEsT", "TXT")
    assert (answer["question"], answer["rcode"]) == ("GoOd.tEsT.", "NOERROR")
    assert answer["records"][0][3] == '"hello"'
    assert site.query("good.test", "MX")["records"]
    assert site.query("good.test", "AAAA")["addresses"] == ["2001:db8:b::1"]
    assert site.is_open("2001:db8:b::1")
    absent = site.query("none.good.test")
    assert (absent["rcode"], absent["records"]) == ("NXDOMAIN", [])
    chain = site.query("www.good.test")
    assert [r[1] for r in chain["records"]] == ["CNAME", "A"]
    refused = site.query("bad.good.test")
    assert refused["ede"] == ["15"]


def test_denied_names_get_what_the_policy_says(site):
    site.attach(ALLOW)
    for denied, rcode, addresses in (
            ("refused", "REFUSED", []), ("nxdomain", "NXDOMAIN", []),
            ("sinkhole", "NOERROR", ["0.0.0.0"])):
        site.apply(ALLOW + f"  denied: {denied}\n")
        answer = site.query("other.test")
        assert (answer["rcode"], answer["addresses"]) == (rcode, addresses)
    assert site.world.upstream.take_asked() == {}


def test_odd_questions_are_answered_in_kind(site):
    site.attach(ALLOW)
    answer = site.query("good.test", "ANY")
    assert [r[1] for r in answer["records"]] == ["HINFO"]
    assert site.query("good.test", "AXFR", protocol="tcp")["rcode"] == "NOTIMP"
    server = ANY_SERVER[4]
    update = site.client.send_raw(data="123428000000000000000000",
                                  server=server)
    assert update[7] == "4"  # rcode NOTIMP
    none = site.client.send_raw(data="123401000000000000000000",
                                server=server)
    assert none[7] == "1"
    two = site.client.send_raw(
        data="123401000002000000000000" + 2 * "04676f6f6404746573740000010001",
        server=server)
    assert two[7] == "1"
    # An answer is no question.
    assert site.client.send_raw(
        data="123481000001000000000000" + "04676f6f6404746573740000010001",
        server=server, timeout_s=0.3) is None
    assert site.world.upstream.take_asked() == {}


def test_fifty_queries_in_one_segment_get_what_each_would_get_alone(site):
    site.attach(ALLOW)
    names = [("good.test", "bad.good.test", "other.test", "www.good.test",
              "none.good.test")[i % 5] for i in range(50)]
    wanted = {"good.test": "NOERROR", "bad.good.test": "REFUSED",
              "other.test": "REFUSED", "www.good.test": "NOERROR",
              "none.good.test": "NXDOMAIN"}
    answers = site.client.pipeline(names=names, server=ANY_SERVER[4])
    assert answers == {name: wanted[name] for name in names}


def test_one_socket_may_ask_several_servers(site):
    site.attach(ALLOW)
    servers = ["198.51.100.1", "198.51.100.2", "198.51.100.3"]
    assert site.client.ask_three(name="good.test", servers=servers) == servers
    answer = site.query("good.test", connected=False)
    assert answer["from"] == ANY_SERVER[4]


def test_equal_questions_go_upstream_once(site):
    name = f"once-{site.kind}.good.test"
    site.world.upstream.put(records={name + ".": {"A": [60, "203.0.113.9"]}})
    site.attach(ALLOW)
    site.world.upstream.behave(delay_s=0.2)
    site.client.pipeline(names=[name] * 20, server=ANY_SERVER[4])
    site.query(name)
    assert site.world.upstream.take_asked() == {f"{name}. A": 1}


def test_large_answers_are_cut_for_udp_and_whole_by_tcp(site):
    addresses = [f"203.0.113.{i}" for i in range(1, 100)]
    site.world.zone(large__good={"A": [60, *addresses]})
    site.attach(ALLOW)
    cut = site.query("large.good.test", payload=0)
    assert cut["truncated"] and not cut["records"]
    whole = site.query("large.good.test", protocol="tcp")
    assert sorted(whole["addresses"]) == sorted(addresses)


def test_steering_off_judges_port_53_like_all_else(site):
    site.attach(ALLOW.replace("dns:\n", "dns:\n  steering: false\n"))
    assert site.query("good.test", timeout_s=0.4)["result"] != "ok"
    site.world.ok("allow", site.id, "10.20.0.53", "--ports", "53")
    answer = site.client.query(name="other.test", server="10.20.0.53")
    assert answer["rcode"] == "NOERROR"
    assert not site.is_open("203.0.113.6")
    assert site.show()["dns_address"] == ""


def test_port_853_needs_a_rule(site):
    site.attach("mode: denylist\n")
    assert site.is_open("203.0.113.1", 80)
    assert not site.is_open("203.0.113.1", 853)
    site.world.ok("allow", site.id, "203.0.113.1", "--ports", "853/tcp")
    assert site.is_open("203.0.113.1", 853)
    reasons = site.world.reasons(site.id)
    assert int(reasons["dns-encrypted"]) > 0


def test_upstream_trouble_is_servfail_and_opens_nothing(site):
    name = f"trouble-{site.kind}.good.test"
    site.world.upstream.put(records={name + ".": {"A": [60, "203.0.113.8"]}})
    site.attach(ALLOW)
    site.world.upstream.behave(silent=True)
    answer = site.query(name, timeout_s=10)
    assert answer["rcode"] == "SERVFAIL"
    assert not site.is_open("203.0.113.8")
    site.world.upstream.behave()
    assert site.query(name)["rcode"] == "NOERROR"
    assert site.is_open("203.0.113.8")
