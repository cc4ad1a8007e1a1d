# SPDX-License-Identifier: Apache-2.0
"""The calls about names, by the API and by the command line: what they answer,
what they refuse, and that a refused one changes nothing."""

import signal
import subprocess

import pytest

from traffic import A, B, Try
from world import ROOT, run, until

NETDEV = ROOT / "packaging/sentinel-netdev"
RESOLVER = "198.18.0.1"
NO_ID = "0123456789abcdef0123456789abcdef"
MAX_LABEL = "a" * 63
LONGEST = ".".join([MAX_LABEL] * 3 + ["a" * 61])
POLICY = """
cidrs:
  - allow: 10.20.0.0/16
dns:
  mode: allowlist
  upstreams: [192.0.2.53, "tls://192.0.2.54#dns.example"]
  domains:
    - {allow: Example.COM, subdomains: true, ports: [443/tcp, 80], ttl_floor: 5m}
    - deny: b.example.com.
    - {allow: b\u00fccher.example}
  denied: nxdomain
"""
WORDS = {"auto": "UNSPECIFIED", "disabled": "DISABLED",
         "allowlist": "ALLOWLIST", "denylist": "DENYLIST", "proxy": "PROXY"}


def domains(api, ident):
    return list(api.call("GetDomains", id=ident).domains)


def keys_of(message):
    return {field.name for field in message.DESCRIPTOR.fields}


# Reading

def test_domains_are_the_policys(box, api):
    box.attach(policy=POLICY)
    first, second, third = domains(api, box.id)
    assert (first.domain, first.subdomains, sorted(first.ports),
            first.ttl_floor_seconds, first.owner) == \
        ("example.com", True, ["443/tcp", "80"], 300, "local")
    assert first.verdict == api.policy.VERDICT_ALLOW
    assert (second.domain, second.subdomains, list(second.ports),
            second.verdict) == \
        ("b.example.com", False, [], api.policy.VERDICT_DENY)
    assert third.domain == "xn--bcher-kva.example"
    # One row of numbers for both kinds of rules.
    ids = [rule.id for rule in (first, second, third)]
    ids += [rule.id for rule in api.call("GetRules", id=box.id).rules]
    assert len(set(ids)) == 4 and min(ids) >= 1
    item = api.call("Get", id=box.id).attachment
    assert (item.rules, item.domain_rules) == (1, 3)


def test_domains_come_in_pages(box, api):
    box.attach(policy="dns:\n  domains:\n" + "".join(
        f"    - allow: n{number}.example\n" for number in range(25)))
    names, token, pages = [], "", 0
    while True:
        page = api.call("GetDomains", id=box.id, page_size=10,
                        page_token=token)
        names += [rule.domain for rule in page.domains]
        pages += 1
        token = page.next_page_token
        if not token:
            break
    assert pages == 3
    assert names == [f"n{number}.example" for number in range(25)]
    for method in ("GetDomains", "ListLearnt"):
        api.refused("INVALID_ARGUMENT", method, "page_size", id=box.id,
                    page_size=10001)
    for token in ("x", "-1", "99999999999", "1 "):
        api.refused("INVALID_ARGUMENT", "GetDomains", "page_token",
                    id=box.id, page_token=token)
    for token in ("x", "192.0.2.1", "192.0.2.1 ", "192.0.2.0/24 a.example",
                  " a.example", "192.0.2.1 a..example", "1"):
        api.refused("INVALID_ARGUMENT", "ListLearnt", "page_token",
                    id=box.id, page_token=token)


def test_nothing_is_learnt_yet(box, api):
    box.attach(policy=POLICY)
    answer = api.call("ListLearnt", id=box.id)
    assert not answer.learnt and answer.next_page_token == ""
    assert not api.call("ListLearnt", id=box.id,
                        page_token="192.0.2.1/32 a.example").learnt
    assert box.world.ok("learnt", box.id) == []
    item = api.call("Get", id=box.id).attachment
    assert (item.learnt_names, item.learnt_addresses) == (0, 0)


# Single changes

def test_allow_and_deny(box, api):
    box.attach(policy="dns: {domains: [{deny: kept.example}]}\n")
    kept = domains(api, box.id)[0]
    new = api.call("AllowDomain", id=box.id, domain="Www.Example.com.",
                   subdomains=True, ports=["443/tcp"], ttl_floor_seconds=60)
    assert not new.replaced and new.rule_id not in (0, kept.id)
    rule = domains(api, box.id)[1]
    assert (rule.id, rule.domain, rule.subdomains, list(rule.ports),
            rule.ttl_floor_seconds, rule.verdict, rule.owner) == \
        (new.rule_id, "www.example.com", True, ["443/tcp"], 60,
         api.policy.VERDICT_ALLOW, "local")
    # The floor is not part of what makes a rule another one.
    again = api.call("AllowDomain", id=box.id, domain="www.example.com",
                     subdomains=True, ports=["443/tcp"])
    assert again.replaced and again.rule_id == new.rule_id
    # Ports and subdomains are.
    assert not api.call("AllowDomain", id=box.id, domain="www.example.com",
                        subdomains=True, ports=["80"]).replaced
    assert not api.call("AllowDomain", id=box.id,
                        domain="www.example.com").replaced
    flipped = api.call("DenyDomain", id=box.id, domain="www.example.com")
    assert flipped.replaced
    assert len(domains(api, box.id)) == 4
    for name in (LONGEST, ".", "_dmarc.example.org", "b\u00fccher.example"):
        assert api.call("DenyDomain", id=box.id, domain=name,
                        subdomains=True).rule_id
    assert domains(api, box.id)[0] == kept


def test_remove(box, api):
    box.attach()
    for fields in ({}, {"subdomains": True}, {"ports": ["443/tcp"]},
                   {"ports": ["443/tcp", "80"]}):
        api.call("AllowDomain", id=box.id, domain="a.example", **fields)
    api.call("AllowDomain", id=box.id, domain="b.a.example")
    assert api.call("RemoveDomain", id=box.id, domain="a.example",
                    ports=["443/tcp"]).removed == 1
    assert api.call("RemoveDomain", id=box.id, domain="A.Example.").removed \
        == 3
    api.refused("NOT_FOUND", "RemoveDomain", id=box.id, domain="a.example")
    api.refused("NOT_FOUND", "RemoveDomain", id=box.id, domain="b.a.example",
                ports=["1"])
    assert [rule.domain for rule in domains(api, box.id)] == ["b.a.example"]


def test_a_name_has_eight_rules(box, api):
    box.attach()
    for port in range(1, 9):
        api.call("AllowDomain", id=box.id, domain="a.example",
                 ports=[str(port)])
    api.refused("RESOURCE_EXHAUSTED", "AllowDomain", id=box.id,
                domain="a.example", ports=["9"])
    assert len(domains(api, box.id)) == 8


def test_dns_mode(box, api):
    box.attach("--mode", "denylist")
    daemon = api.policy

    def in_force():
        return api.call("Get", id=box.id).attachment.dns_mode

    assert in_force() == daemon.DNS_MODE_DENYLIST
    for word, name in WORDS.items():
        mode = getattr(daemon, "DNS_MODE_" + name)
        api.call("SetDnsMode", id=box.id, mode=mode)
        assert in_force() == (mode or daemon.DNS_MODE_DENYLIST)
        answer = box.world.ctl("dns-mode", box.id, word)
        assert (answer.code, answer.out) == (0, f"DNS mode is {word}\n")
        assert in_force() == (mode or daemon.DNS_MODE_DENYLIST)
    # Not stated, it follows the mode for addresses.
    api.call("SetDnsMode", id=box.id)
    api.call("SetMode", id=box.id, mode=daemon.MODE_DISABLED)
    assert in_force() == daemon.DNS_MODE_DISABLED
    api.call("SetMode", id=box.id, mode=daemon.MODE_BLOCK_ALL)
    assert in_force() == daemon.DNS_MODE_ALLOWLIST


def test_a_restart_keeps_what_names_may(box, api):
    box.attach(policy=POLICY)
    api.call("AllowDomain", id=box.id, domain="late.example")
    api.call("SetDnsMode", id=box.id, mode=api.policy.DNS_MODE_PROXY)

    def state():
        item = box.show()
        return box.world.ok("rules", box.id), [item[name] for name in (
            "dns_mode", "dns_steering", "domain_rules", "dns_address",
            "generation")]

    before = state()
    assert before[1][:3] == ["proxy", "on", 4]
    box.world.kill_cp()
    box.world.start_cp()
    assert state() == before


# Whole policies

def dns_policy(api, **fields):
    return api.policy.DnsPolicy(**fields)


def domain_rule(api, domain, verdict="ALLOW", **fields):
    return api.policy.DomainRule(
        verdict=getattr(api.policy, "VERDICT_" + verdict), domain=domain,
        **fields)


def test_apply_compares_names_too(box, api):
    box.attach(policy=POLICY)
    ids = {rule.domain: rule.id for rule in domains(api, box.id)}
    policy = api.make_policy(dns=dns_policy(api, domains=[
        domain_rule(api, "xn--bcher-kva.example"),
        domain_rule(api, "new.example")]))
    dry = api.call("Apply", id=box.id, policy=policy, dry_run=True)
    assert len(domains(api, box.id)) == 3
    done = api.call("Apply", id=box.id, policy=policy)
    for answer in (dry, done):
        assert (answer.added, answer.removed, answer.unchanged) == (1, 3, 1)
    now = {rule.domain: rule.id for rule in domains(api, box.id)}
    assert now["xn--bcher-kva.example"] == ids["xn--bcher-kva.example"]
    assert now["new.example"] not in ids.values()


def test_apply_stream_carries_names(box, api):
    box.attach()
    request = api.daemon.ApplyStreamRequest
    policy = api.make_policy(dns=dns_policy(
        api, mode=api.policy.DNS_MODE_DENYLIST,
        domains=[domain_rule(api, "first.example")]))

    def parts(last):
        yield request(id=box.id, policy=policy)
        for part in range(4):
            yield request(domains=[
                domain_rule(api, f"n{part}-{number}.example", "DENY")
                for number in range(500)])
        yield request(rules=[api.rule("10.20.0.0/16")], domains=[last])

    answer = api.stub.ApplyStream(parts(domain_rule(api, "last.example")),
                                  timeout=30).result
    assert answer.added == 2003
    item = api.call("Get", id=box.id).attachment
    assert (item.domain_rules, item.rules) == (2002, 1)
    assert item.dns_mode == api.policy.DNS_MODE_DENYLIST
    with pytest.raises(Exception) as caught:
        api.stub.ApplyStream(parts(domain_rule(api, "*.example")), timeout=30)
    assert "domains[2000].domain" in caught.value.details()
    assert api.call("Get", id=box.id).attachment.domain_rules == 2002


# Bad input

BAD_NAMES = ["", "a..example", ".example", "*.example.com", "exam ple",
             "192.0.2.1", "2001:db8::1", "a.example:443", "a/b",
             "a" * 64 + ".example", LONGEST + "a", "a\\256.example",
             "\u2028.example", "a.example\t"]
BAD_PORTS = ["0", "65536/tcp", "80/icmp", "80/nonsense", ""]


@pytest.fixture
def unchanged(box, api):
    box.attach(policy=POLICY)

    def state():
        return (domains(api, box.id), api.call("Get", id=box.id).attachment)

    before = state()
    yield box
    assert state() == before


@pytest.mark.parametrize("name", BAD_NAMES, ids=range(len(BAD_NAMES)))
def test_bad_names(unchanged, api, name):
    for method in ("AllowDomain", "DenyDomain", "RemoveDomain"):
        api.refused("INVALID_ARGUMENT", method, "domain: ", id=unchanged.id,
                    domain=name)
    api.refused("INVALID_ARGUMENT", "Apply", "policy.dns.domains[0].domain: ",
                id=unchanged.id, policy=api.make_policy(dns=dns_policy(
                    api, domains=[domain_rule(api, name)])))
    if name not in ("192.0.2.1", "2001:db8::1"):
        for command in ("allow", "deny", "remove"):
            answer = unchanged.world.ctl(command, unchanged.id, name)
            assert answer.code == 2 and answer.out == "", answer
            assert answer.err.startswith(f"sentinelctl: {command}: ")


@pytest.mark.parametrize("ports", BAD_PORTS)
def test_bad_ports_of_names(unchanged, api, ports):
    for method in ("AllowDomain", "RemoveDomain"):
        api.refused("INVALID_ARGUMENT", method, "ports[1]: ",
                    id=unchanged.id, domain="a.example",
                    ports=["80", ports])


def test_other_bad_fields(unchanged, api):
    ident = unchanged.id
    api.refused("INVALID_ARGUMENT", "AllowDomain", "ttl_floor_seconds",
                id=ident, domain="a.example", ttl_floor_seconds=604801)
    api.refused("INVALID_ARGUMENT", "AllowDomain", "ports", id=ident,
                domain="a.example", ports=[str(p) for p in range(1, 10)])
    api.refused("INVALID_ARGUMENT", "SetDnsMode", "mode", id=ident, mode=9)
    answer = unchanged.world.ctl("dns-mode", ident, "block-all")
    assert answer.code == 2 and "allowlist, denylist, disabled, proxy or " \
        "auto" in answer.err
    for options, word in (
            (("allow", "a.example", "--ttl", "5m"), "--ttl-floor"),
            (("allow", "10.0.0.1", "--subdomains"), "names"),
            (("allow", "10.0.0.1", "--ttl-floor", "5m"), "names"),
            (("deny", "a.example", "--ports", "80"), "any port"),
            (("deny", "a.example", "--ttl-floor", "5m"), "no option"),
            (("remove", "a.example", "--subdomains"), "no option"),
            (("allow", "10.0.0.0/33"), "0 to 32"),
            (("allow", "10.0.0.1/8"), "10.0.0.0/8")):
        answer = unchanged.world.ctl(options[0], ident, *options[1:])
        assert answer.code == 2 and answer.out == "", answer
        assert word in answer.err, answer


def test_bad_dns_policies(unchanged, api):
    policy = api.policy
    for fields, field in (
            ({"mode": 9}, "mode"), ({"steering": 9}, "steering"),
            ({"denied": 9}, "denied"), ({"hints": 9}, "hints"),
            ({"upstreams": ["dns.example"]}, "upstreams[0]"),
            ({"upstreams": ["192.0.2.1", ""]}, "upstreams[1]"),
            ({"upstreams": ["192.0.2.1:0"]}, "upstreams[0]"),
            ({"upstreams": ["tls://192.0.2.1"]}, "upstreams[0]"),
            ({"upstreams": ["192.0.2.1", "192.0.2.1:53"]}, "upstreams[1]"),
            ({"upstreams": [f"192.0.2.{n}" for n in range(1, 10)]},
             "upstreams"),
            ({"dnssec": True}, "dnssec")):
        api.refused("INVALID_ARGUMENT", "Apply", f"dns.{field}",
                    id=unchanged.id,
                    policy=api.make_policy(dns=dns_policy(api, **fields)))
    for rule, field in (
            (policy.DomainRule(domain="a.example"), "verdict"),
            (domain_rule(api, "a.example", id=7), "id"),
            (domain_rule(api, "a.example", owner="local"), "owner"),
            (domain_rule(api, "a.example", "DENY", ports=["80"]), "ports"),
            (domain_rule(api, "a.example", "DENY", ttl_floor_seconds=5),
             "ttl_floor_seconds"),
            (domain_rule(api, "a.example", ports=["x"]), "ports[0]")):
        api.refused("INVALID_ARGUMENT", "Apply",
                    f"policy.dns.domains[1].{field}", id=unchanged.id,
                    policy=api.make_policy(dns=dns_policy(api, domains=[
                        domain_rule(api, "b.example"), rule])))
    api.refused("INVALID_ARGUMENT", "Apply", "policy.dns.domains[1]",
                "says the opposite", id=unchanged.id,
                policy=api.make_policy(dns=dns_policy(api, domains=[
                    domain_rule(api, "a.example"),
                    domain_rule(api, "A.example.", "DENY")])))


CALLS = [("AllowDomain", {"domain": "a.example"}),
         ("DenyDomain", {"domain": "a.example"}),
         ("RemoveDomain", {"domain": "a.example"}), ("SetDnsMode", {}),
         ("GetDomains", {}), ("ListLearnt", {})]


@pytest.mark.parametrize("method,fields", CALLS)
def test_ids(clean, api, method, fields):
    api.refused("NOT_FOUND", method, id=NO_ID, **fields)
    for ident in ("", "0123456789abcdef", NO_ID.upper(), NO_ID + "0"):
        api.refused("INVALID_ARGUMENT", method, "id", id=ident, **fields)


def test_files_are_refused_with_their_line(unchanged):
    for text, line in (
            ("dns:\n  domains:\n    - allow: '*.a.example'\n", 3),
            ("dns:\n  mode: open\n", 2),
            ("dns:\n  upstreams: [dns.example]\n", 2)):
        path = unchanged.world.policy_file(text)
        answer = unchanged.world.ctl("apply", unchanged.id, path)
        assert answer.code == 1 and f"{path}:{line}: " in answer.err, answer


# The command line

def test_json_is_the_proto(box, api, stubs):
    world, daemon = box.world, stubs["daemon_pb2"]
    box.attach(policy=POLICY)
    for command, message in (
            (("allow", "c.example"), daemon.AllowDomainResponse),
            (("deny", "d.example"), daemon.DenyDomainResponse),
            (("remove", "d.example"), daemon.RemoveDomainResponse),
            (("dns-mode", "auto"), daemon.SetDnsModeResponse)):
        answer = world.ok(command[0], box.id, *command[1:])
        assert set(answer) == keys_of(message)
    rows = [row for row in world.ok("rules", box.id) if "domain" in row]
    rules = domains(api, box.id)
    assert len(rows) == len(rules) == 4
    for row, rule in zip(rows, rules):
        assert set(row) == keys_of(rule)
        for name in ("domain", "subdomains", "ttl_floor_seconds", "id",
                     "owner"):
            assert row[name] == getattr(rule, name)
        assert row["ports"] == list(rule.ports)
        assert "VERDICT_" + row["verdict"].upper() == \
            api.policy.Verdict.Name(rule.verdict)
    shown, item = world.ok("show", box.id), api.call(
        "Get", id=box.id).attachment
    for name in ("dns_address", "domain_rules", "dns_allowed", "dns_blocked",
                 "dns_failed", "learnt_names", "learnt_addresses"):
        assert shown[name] == getattr(item, name), name
    assert (shown["dns_mode"], shown["dns_steering"]) == ("allowlist", "on")


def test_tables_show_names(box):
    world = box.world
    box.attach(policy=POLICY)
    text = world.ctl("rules", box.id).out
    tables = text.split("\n\n")
    assert len(tables) == 2 and "CIDR" in tables[0] and "NAME" in tables[1]
    assert "xn--bcher-kva.example" in tables[1] and "local" in tables[1]
    assert "allowlist" in world.ctl("list").out.splitlines()[1]
    assert f"allowlist at {RESOLVER}" in world.ctl("show", box.id).out
    assert world.ctl("learnt", box.id).out.split() == \
        ["NAME", "ADDRESS", "PORTS", "LEFT", "RULE"]


# What an attachment says of steering

def test_steering_in_force(box, api):
    on, off = api.policy.DNS_STEERING_ON, api.policy.DNS_STEERING_OFF
    box.attach()

    def state():
        item = api.call("Get", id=box.id).attachment
        listed, = api.call("List").attachments
        assert (listed.dns_address, listed.dns_steering) == \
            (item.dns_address, item.dns_steering)
        return item.dns_steering, item.dns_address

    assert state() == (on, RESOLVER)
    box.world.ok("mode", box.id, "block-all")
    assert state() == (off, "")
    box.world.ok("mode", box.id, "disabled")
    assert state() == (on, RESOLVER)
    box.apply("dns: {steering: false}\n")
    assert state() == (off, "")


def test_attach_tells_address_and_limits(clean, api):
    answer = api.call("Attach", cgroup_path=str(clean.cgroup("box")))
    assert answer.dns_address == RESOLVER
    assert any("network namespaces" in note for note in answer.notes)
    api.call("Detach", id=answer.id)
    answer = api.call("Attach", cgroup_path=str(clean.cgroup("box")),
                      policy=api.make_policy(dns=dns_policy(
                          api, steering=api.policy.DNS_STEERING_OFF)))
    assert answer.dns_address == ""
    assert not any("port 53" in note for note in answer.notes)
    api.call("Detach", id=answer.id)
    answer = api.call("Attach", cgroup_path=str(clean.cgroup("box")),
                      mode=api.policy.MODE_DENYLIST)
    assert any("by its address" in note for note in answer.notes)


@pytest.fixture
def netdev(clean):
    """The resolver's interfaces come and go; sentinel-dp looks at its start."""
    def call(word):
        run(*clean.network.enter("router"), NETDEV, word)
        clean.kill_dp()
        clean.start_dp()
        clean.wait_connected()

    call("start")
    yield call
    call("stop")


def features(api):
    return {one.name: (one.state, one.reason)
            for one in api.call("GetStatus").features}


def test_interfaces_need_the_resolvers_pair(interface, api, netdev):
    daemon = api.daemon
    interface.attach()
    item = api.call("Get", id=interface.id).attachment
    assert item.dns_address == RESOLVER
    assert any("fragments" in note for note in item.notes)
    assert features(api)["dns-tc"] == (daemon.FEATURE_STATE_FULL, "")
    state, reason = features(api)["dns-cgroup"]
    assert state == daemon.FEATURE_STATE_PARTIAL
    assert "network namespaces" in reason
    netdev("stop")
    item = api.call("Get", id=interface.id).attachment
    assert item.dns_address == ""
    assert any("sentinel-netdev" in note for note in item.notes)
    state, reason = features(api)["dns-tc"]
    assert state == daemon.FEATURE_STATE_UNSUPPORTED
    assert "sentinel-netdev" in reason
    assert any("without a resolver" in text
               for text in api.call("GetStatus").warnings)


def test_no_upstream_server_is_told(clean):
    plain = clean.config.read_text()
    path = clean.folder / "resolv.conf"
    clean.config.write_text(plain + f"dns: {{resolv_conf: {path}}}\n")

    def is_told():
        return any("no upstream server" in text
                   for text in clean.ok("status")["warnings"])

    for text, told in (("", True), ("nameserver 192.0.2.53\n", False)):
        path.write_text(text)
        clean.kill_cp()
        clean.start_cp()
        # The file is read beside the start.
        until(lambda: is_told() == told, f"told: {told}")
    clean.config.write_text(plain)
    clean.kill_cp()
    clean.start_cp()


# DoH servers


@pytest.fixture
def doh(clean):
    """Writes the list and has it read: doh("192.0.2.1\\n")."""
    path = clean.folder / "doh.list"
    plain = clean.config.read_text()

    def log():
        return (clean.folder / "sentinel-cp.log").read_text()

    def put(text, word="doh-list names="):
        before = log().count(word)
        path.write_text(text)
        clean.cp.send_signal(signal.SIGHUP)
        until(lambda: log().count(word) > before, "the list is read")

    path.write_text("")
    clean.config.write_text(plain + f"dns: {{doh_list: {path}}}\n")
    put("")
    put.path = path
    yield put
    path.write_text("")
    clean.config.write_text(plain)
    clean.kill_cp()
    clean.start_cp()


def owned(target):
    return sorted(rule["cidr"] for rule in target.world.ok("rules", target.id)
                  if rule["owner"] == "doh-list")


def https(family, wanted):
    """Port 443 of server A, and what is beside it."""
    return [Try("tcp", A[family], 443, wanted), Try("udp", A[family], 443,
                                                    wanted),
            Try("tcp", A[family], 8080, True), Try("udp", A[family], 80, True),
            Try("tcp", B[family], 443, True)]


def test_doh_servers_are_denied_in_a_denylist(target, api, doh):
    target.attach("--mode", "denylist")
    assert owned(target) == []
    target.judge(https(4, True) + https(6, True))
    doh(f"# servers\n{A[4]}\n{A[6]}\ndns.example\n")
    until(lambda: owned(target) == [f"{A[4]}/32", f"{A[6]}/128"],
          "the rules are there")
    rule = api.call("GetRules", id=target.id).rules[0]
    assert rule.verdict == api.policy.VERDICT_DENY
    assert list(rule.ports) == ["443"]
    target.judge(https(4, False) + https(6, False))
    # They are not the caller's to remove, and outlive what replaces his.
    api.refused("NOT_FOUND", "RemoveCIDR", id=target.id, cidr=A[4])
    target.apply("mode: denylist\ncidrs: [{deny: 10.99.0.0/16}]\n")
    assert len(owned(target)) == 2
    target.judge(https(4, False) + https(6, False))
    # Only a denylist needs them.
    target.world.ok("mode", target.id, "allowlist")
    assert owned(target) == []
    target.world.ok("mode", target.id, "denylist")
    assert len(owned(target)) == 2
    doh(f"{A[6]}\n")
    until(lambda: owned(target) == [f"{A[6]}/128"],
          "the rule is gone")
    target.judge(https(4, True) + https(6, False))


def test_an_allow_rule_for_the_server_wins(box, api, doh):
    doh(f"{A[4]}\n")
    box.attach("--mode", "denylist")
    box.judge(https(4, False))
    api.call("AllowCIDR", id=box.id, cidr="10.20.0.0/16")
    assert owned(box) == [f"{A[4]}/32"]
    box.judge(https(4, False))
    api.call("AllowCIDR", id=box.id, cidr=A[4], ports=["443/tcp"])
    assert owned(box) == []
    box.judge(https(4, True))
    api.call("RemoveCIDR", id=box.id, cidr=A[4])
    assert owned(box) == [f"{A[4]}/32"]
    box.judge(https(4, False))


def test_a_broken_doh_list_changes_nothing(box, api, doh):
    doh(f"{A[4]}\n")
    box.attach("--mode", "denylist")
    for text, line in ((f"{A[4]}\n*.example\n", 2), ("10.0.0.0/8\n", 1),
                       ("a b\n", 1)):
        doh(text, f"{doh.path}:{line}: ")
        assert owned(box) == [f"{A[4]}/32"]
    doh.path.unlink()
    log = box.world.folder / "sentinel-cp.log"
    before = log.read_text().count("the list before stays")
    box.world.cp.send_signal(signal.SIGHUP)
    until(lambda: log.read_text().count("the list before stays") > before,
          "the reload is over")
    box.judge(https(4, False))


def test_a_start_settles_what_changed_meanwhile(box, api, doh):
    doh(f"{A[4]}\n")
    box.attach("--mode", "denylist")
    box.world.kill_cp()
    doh.path.write_text(f"{A[6]}\n")
    box.world.start_cp()
    until(lambda: owned(box) == [f"{A[6]}/128"], "it is settled")
    box.judge(https(4, True) + https(6, False))
    box.world.kill_cp()
    box.judge(https(6, False))
    box.world.start_cp()
    assert owned(box) == [f"{A[6]}/128"]


def test_a_start_with_a_broken_list_is_refused(clean, tmp_path):
    for text, wanted in (("*.example\n", "list:1: "), (None, "cannot be")):
        path = tmp_path / "list"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        config = tmp_path / "cp.yaml"
        config.write_text(f"dns: {{doh_list: {path}}}\n")
        done = subprocess.run([clean.bin / "sentinel-cp", "--check-config",
                               "--config", config], capture_output=True,
                              text=True)
        assert done.returncode == 2 and wanted in done.stderr, done


def test_a_bad_dns_configuration_is_told_with_its_line(clean, tmp_path):
    config = tmp_path / "cp.yaml"
    for text, wanted in (
            ("dns:\n  upstreams: [dns.example]\n", ":2: dns.upstreams: "),
            ("dns:\n  quotas:\n    names: 0\n", ":3: dns.quotas.names: "),
            ("dns:\n  timeouts: {retry: 5s}\n",
             ":2: dns.timeouts.retry: is longer than question"),
            ("dns:\n  dnied: refused\n", "did you mean 'denied'")):
        config.write_text(text)
        done = subprocess.run([clean.bin / "sentinel-cp", "--check-config",
                               "--config", config], capture_output=True,
                              text=True)
        assert done.returncode == 2 and wanted in done.stderr, done
