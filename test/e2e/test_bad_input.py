# SPDX-License-Identifier: Apache-2.0
"""Bad input gets its documented error, by the command line and by the API, and
changes nothing."""

import os
import re
import subprocess

import pytest

from traffic import A, B, each
from world import cgroup_mount

# Room for few rules and attachments, so that both can be filled.
WORLD = {"dp_options": ["--rules", 64, "--prefixes", 64, "--slots", 8]}
BASE = "cidrs:\n  - allow: 10.20.0.0/16\n"
CENTURY_S = 3155760000
NO_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def unchanged(box):
    """An attachment that must be the same after the test."""
    box.attach(policy=BASE)

    def state():
        items = box.world.ok("list")
        for item in items:
            for name in ("packets_allowed", "packets_blocked", "bytes_allowed",
                         "bytes_blocked", "calls_refused", "blocked_reasons"):
                item.pop(name)
        return items, box.world.ok("rules", box.id)

    before = state()
    yield box
    assert state() == before
    box.judge(each(A, True, families=(4,)) + each(B, False))


BAD_CIDRS = {
    "10.0.0.1/8": "10.0.0.0/8",  # says what was probably meant
    "fd20::1/16": "fd20::/16",
    "10.0.0.0/33": "", "fd20::/129": "", "10.0.0.0/-1": "", "10.0.0.0/": "",
    "10.0.0/8": "", "10.0.0.256": "", "010.0.0.0/8": "", "fe80::1%eth0": "",
    "::ffff:10.0.0.1": "", "example..com": "", "10.0.0.0/8 ": "", "/": "",
    "10.0.0.0/08": "",
}
BAD_PORTS = ["0/tcp", "443-80/tcp", "65536/tcp", "80/icmp", "80/", "/tcp",
             "80/nonsense", "0-80/tcp", "-80/tcp", "80,,90", "tcp/80",
             "80/tcp,80/tcp"]
BAD_TTLS = ["0s", "0", "-5s", "5", "5 parsecs", "36526d", "1e3s", "1.5.5s"]


@pytest.mark.parametrize("cidr", BAD_CIDRS)
def test_bad_prefix(unchanged, api, cidr):
    for command in ("allow", "deny", "remove"):
        answer = unchanged.world.ctl(command, "--", unchanged.id, cidr)
        assert answer.code in (1, 2), answer
        assert answer.out == ""
        assert answer.err.startswith("sentinelctl: ")
        assert BAD_CIDRS[cidr] in answer.err
    for method in ("AllowCIDR", "DenyCIDR", "RemoveCIDR"):
        api.refused("INVALID_ARGUMENT", method, "cidr", id=unchanged.id,
                    cidr=cidr)


def test_empty_prefix(unchanged, api):
    assert unchanged.world.ctl("allow", unchanged.id, "").code in (1, 2)
    api.refused("INVALID_ARGUMENT", "AllowCIDR", "cidr", id=unchanged.id)
    api.refused("INVALID_ARGUMENT", "RemoveCIDR", "cidr", id=unchanged.id)


@pytest.mark.parametrize("ports", BAD_PORTS)
def test_bad_ports(unchanged, api, ports):
    for command in ("allow", "remove"):
        answer = unchanged.world.ctl(command, unchanged.id, "10.20.0.0/16",
                                     f"--ports={ports}")
        assert answer.code in (1, 2) and answer.out == "", answer
        assert answer.err.startswith("sentinelctl: ")
        assert any(part in answer.err for part in ports.split(","))
    api.refused("INVALID_ARGUMENT", "AllowCIDR", "ports", id=unchanged.id,
                cidr="10.20.0.0/16", ports=ports.split(","))


def test_nine_ports(unchanged, api):
    ports = [f"{n}/tcp" for n in range(1, 10)]
    api.refused("INVALID_ARGUMENT", "AllowCIDR", "ports", id=unchanged.id,
                cidr="10.20.0.0/16", ports=ports)
    # Nine items of one prefix by two rules.
    api.refused("RESOURCE_EXHAUSTED", "AllowCIDR", "10.20.0.0/16",
                id=unchanged.id, cidr="10.20.0.0/16", ports=ports[:8])


@pytest.mark.parametrize("ttl", BAD_TTLS)
def test_bad_ttl(unchanged, ttl):
    answer = unchanged.world.ctl("allow", unchanged.id, "10.30.0.0/16",
                                 f"--ttl={ttl}")
    assert answer.code in (1, 2) and answer.out == "", answer
    assert re.search("ttl|duration|seconds", answer.err.lower())


def test_ttl_over_a_century(unchanged, api):
    api.refused("INVALID_ARGUMENT", "AllowCIDR", "ttl", id=unchanged.id,
                cidr="10.30.0.0/16", ttl_seconds=CENTURY_S + 1)
    api.refused("INVALID_ARGUMENT", "AllowCIDR", "ttl", id=unchanged.id,
                cidr="10.30.0.0/16", ttl_seconds=(1 << 64) - 1)


def test_ttl_of_a_century_is_legal(box, api):
    box.attach()
    api.call("AllowCIDR", id=box.id, cidr="10.20.0.0/16",
             ttl_seconds=CENTURY_S)
    assert box.world.ok("rules", box.id)[0]["ttl_seconds"] == CENTURY_S
    box.judge(each(A, True, families=(4,)))


@pytest.mark.parametrize("command", [
    ("show",), ("rules",), ("detach",), ("mode", "block-all"),
    ("allow", "10.0.0.0/8"), ("remove", "10.0.0.0/8"),
    ("apply", "/dev/null")], ids=lambda command: command[0])
def test_unknown_id(unchanged, command):
    world = unchanged.world
    rest = [world.policy_file("{}\n") if word == "/dev/null" else word
            for word in command[1:]]
    answer = world.ctl(command[0], NO_ID, *rest)
    assert answer.code == 1 and answer.out == "", answer
    assert "no attachment" in answer.err
    # Too short, and no id at all.
    for ident in ("01234", "xyzxyz", "", NO_ID + "0"):
        answer = world.ctl(command[0], ident, *rest)
        assert answer.code in (1, 2) and answer.out == "", answer


def test_unknown_id_by_api(unchanged, api):
    for method, fields in (
            ("Get", {}), ("GetRules", {}), ("Detach", {}),
            ("SetMode", {"mode": api.policy.MODE_DISABLED}),
            ("Apply", {"policy": api.make_policy()}),
            ("AllowCIDR", {"cidr": "10.0.0.0/8"}),
            ("DenyCIDR", {"cidr": "10.0.0.0/8"}),
            ("RemoveCIDR", {"cidr": "10.0.0.0/8"})):
        api.refused("NOT_FOUND", method, id=NO_ID, **fields)
        # Clients resolve prefixes, the daemon takes whole ids only.
        for ident in ("", unchanged.id[:12], unchanged.id.upper() + "x"):
            api.refused("INVALID_ARGUMENT", method, "id", id=ident, **fields)


def test_prefix_of_an_id(unchanged):
    """Six digits and more will do if they are unique."""
    world = unchanged.world
    assert world.ok("show", unchanged.id[:6])["id"] == unchanged.id
    assert world.ctl("show", unchanged.id[:5]).code in (1, 2)


def test_mode_must_be_stated_and_known(unchanged, api):
    world = unchanged.world
    for mode in ("", "allow", "ALLOWLIST", "unspecified", "allowlist(audit)"):
        answer = world.ctl("mode", unchanged.id, mode)
        assert answer.code == 2 and answer.out == "", answer
    api.refused("INVALID_ARGUMENT", "SetMode", "mode", id=unchanged.id)
    api.refused("INVALID_ARGUMENT", "SetMode", "mode", id=unchanged.id,
                mode=77)
    api.refused("INVALID_ARGUMENT", "Apply", "policy.mode", id=unchanged.id,
                policy=api.policy.Policy(mode=9))
    api.refused("INVALID_ARGUMENT", "Apply", "policy.rules[0].verdict",
                id=unchanged.id,
                policy=api.make_policy([api.policy.Rule(cidr="10.0.0.0/8")]))


BAD_FILES = {
    "unknown key": ("cidrs: []\nfoo: 1\n", ":2:", "foo"),
    "unknown key of a rule": ("cidrs:\n  - allow: 10.0.0.0/8\n    prot: x\n",
                              ":3:", "prot"),
    "duplicate key": ("mode: allowlist\nmode: denylist\n", ":2:", "mode"),
    "duplicate rule": ("cidrs:\n  - allow: 10.0.0.0/8\n"
                       "  - allow: 10.0.0.0/8\n", ":3:", "10.0.0.0/8"),
    "contradiction": ("cidrs:\n  - allow: 10.0.0.0/8\n"
                      "  - deny: 10.0.0.0/8\n", ":3:", "10.0.0.0/8"),
    "allow and deny": ("cidrs:\n  - {allow: 10.0.0.0/8, deny: 10.0.0.0/8}\n",
                       ":2:", ""),
    "neither": ("cidrs:\n  - {ports: [80/tcp]}\n", ":2:", ""),
    "bad mode": ("mode: maybe\n", ":1:", "mode"),
    "bad inbound": ("inbound: some\n", ":1:", "inbound"),
    "bad audit": ("audit: 7\n", ":1:", "audit"),
    "bad prefix": ("cidrs:\n\n  - allow: 10.0.0.1/8\n", ":3:", "10.0.0.0/8"),
    "bad port": ("cidrs:\n  - {allow: 10.0.0.0/8, ports: [0/tcp]}\n", ":2:",
                 "0/tcp"),
    "bad ttl": ("cidrs:\n  - {allow: 10.0.0.0/8, ttl: 0s}\n", ":2:", "ttl"),
    "not a list": ("cidrs: 10.0.0.0/8\n", ":1:", "cidrs"),
    "not YAML": ("cidrs: [\n", ":", ""),
    "alias": ("cidrs: &a\n  - allow: 10.0.0.0/8\nmode: *a\n", ":", ""),
    "empty": ("", "", ""),
    "nesting": ("[" * (10 << 20), ":1:", ""),
    "deep map": ("cidrs: " + "{a: " * (1 << 20), ":1:", ""),
    "binary": ("mode: allowlist\n\x01\x02\n", ":2:", ""),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_policy_file(unchanged, name):
    text, line, word = BAD_FILES[name]
    path = unchanged.world.policy_file(text)
    for command in (("apply", unchanged.id, path),
                    ("apply", unchanged.id, path, "--dry-run"),
                    ("attach", "--interface", "w0", "--policy", path)):
        answer = unchanged.world.ctl(*command)
        assert answer.code in (1, 2) and answer.out == "", answer
        assert path.name + line in answer.err
        assert word in answer.err
        assert len(answer.err) < 1000


def test_policy_file_that_is_not_there(unchanged):
    path = unchanged.world.folder / "none.yaml"
    answer = unchanged.world.ctl("apply", unchanged.id, path)
    assert answer.code in (1, 2) and "none.yaml" in answer.err
    answer = unchanged.world.ctl("apply", unchanged.id,
                                 unchanged.world.folder)
    assert answer.code in (1, 2) and answer.out == ""


def test_full_table(unchanged, api):
    """64 rules are 64 rules; the refused policy leaves no trace."""
    world = unchanged.world
    rules = [api.rule(f"10.30.0.{n}") for n in range(100)]
    api.refused("RESOURCE_EXHAUSTED", "Apply", id=unchanged.id,
                policy=api.make_policy(rules))
    path = world.policy_file("cidrs:\n" + "".join(
        f"  - allow: 10.30.0.{n}\n" for n in range(100)))
    for _ in range(3):
        answer = world.ctl("apply", unchanged.id, path)
        assert answer.code == 1 and "full" in answer.err, answer
        answer = world.ctl("attach", "--interface", "w0", "--policy", path)
        assert answer.code == 1, answer


def test_full_table_by_single_rules(box, api):
    box.attach(policy=BASE)
    n_rules = 1
    refused = None
    for n in range(100):
        answer = box.world.ctl("allow", box.id, f"10.30.0.{n}")
        if answer.code:
            refused = answer
            break
        n_rules += 1
    assert refused and "full" in refused.err
    assert box.show()["rules"] == n_rules <= 64
    box.judge(each(A, True, families=(4,)))
    # Room again once something goes.
    box.world.ok("remove", box.id, "10.30.0.0")
    box.world.ok("allow", box.id, "10.30.0.99")


def test_no_free_slot(clean):
    made = []
    refused = None
    for n in range(10):
        path = clean.cgroup(f"many{n}")
        answer = clean.ctl("attach", "--cgroup", path, "-o", "json")
        if answer.code:
            refused = answer
            break
        made.append(answer.json["id"])
    assert refused and refused.code == 1 and len(made) == 7
    assert len(clean.ok("list")) == 7
    clean.ok("detach", made[0])
    clean.attach(clean.cgroup("many9"))


def test_target_that_is_attached_or_not_there(unchanged, api):
    world = unchanged.world
    answer = world.ctl("attach", "--cgroup", unchanged.name)
    assert answer.code == 1 and "already" in answer.err, answer
    api.refused("ALREADY_EXISTS", "Attach", cgroup_path=unchanged.name)
    for option, name in (("--interface", "none0"),
                         ("--cgroup", str(world.cgroups / "none")),
                         ("--cgroup", "/tmp"), ("--cgroup", "/etc/passwd")):
        answer = world.ctl("attach", option, name)
        assert answer.code == 1 and name in answer.err, answer
    api.refused("NOT_FOUND", "Attach", "none0", interface_name="none0")
    api.refused("FAILED_PRECONDITION", "Attach", "cgroup2",
                cgroup_path="/tmp")


def test_nested_cgroups(unchanged, api):
    world = unchanged.world
    inner = world.cgroup("box/deeper")
    outer = world.cgroup("outer2")
    try:
        api.refused("FAILED_PRECONDITION", "Attach", cgroup_path=str(inner))
        world.cgroup("outer2/inner")
        ident = world.attach(world.cgroups / "outer2/inner")
        answer = world.ctl("attach", "--cgroup", outer)
        assert answer.code == 1 and answer.err, answer
        world.ok("detach", ident)
    finally:
        (world.cgroups / "outer2/inner").rmdir()
        outer.rmdir()
        inner.rmdir()


def test_forbidden_cgroups(unchanged, api):
    """The root, the daemons' own, and all above them."""
    world = unchanged.world
    for path in (cgroup_mount(), world.cgroups / "daemons", world.cgroups):
        answer = world.ctl("attach", "--cgroup", path)
        assert answer.code == 1 and str(path) in answer.err, answer
        api.refused("FAILED_PRECONDITION", "Attach", cgroup_path=str(path))


def test_host_role_needs_permission(unchanged, api):
    world = unchanged.world
    for name, role in (("w0", "host"), ("a0", "host"), ("lo", "workload"),
                       ("lo", "host")):
        answer = world.ctl("attach", "--interface", name, "--role", role)
        assert answer.code == 1 and name in answer.err, answer
    api.refused("FAILED_PRECONDITION", "Attach", interface_name="lo")


def test_attach_fields(unchanged, api):
    world = unchanged.world
    for fields in ({}, {"interface_name": "w0", "cgroup_path": "/x"},
                   {"cgroup_path": "relative/path"},
                   {"interface_name": "x" * 16}, {"interface_name": "a/b"},
                   {"interface_name": "w0", "mode": 55},
                   {"interface_name": "w0", "role": 55},
                   {"cgroup_path": unchanged.name, "role": 1},
                   {"interface_name": "w0", "metadata": {"": "x"}},
                   {"interface_name": "w0", "metadata": {"a b": "x"}},
                   {"interface_name": "w0", "metadata": {"k": "x" * 256}},
                   {"interface_name": "w0", "metadata": {"k" * 64: "x"}},
                   {"interface_name": "w0",
                    "metadata": {str(n): "x" for n in range(65)}},
                   {"interface_name": "w0", "mode": api.policy.MODE_DENYLIST,
                    "policy": api.make_policy()}):
        api.refused("INVALID_ARGUMENT", "Attach", **fields)
    for command in (("attach",), ("attach", "--interface"),
                    ("attach", "--interface", "w0", "--cgroup", "/x"),
                    ("attach", "--interface", "w0", "--role", "king"),
                    ("attach", "--interface", "w0", "--mode", "maybe"),
                    ("attach", "--interface", "w0", "--meta", "novalue"),
                    ("attach", "--interface", "w0", "extra"),
                    ("attach", "--nonsense"), ("nonsense",), (),
                    ("show",), ("show", unchanged.id, "extra"),
                    ("list", "-o", "xml")):
        answer = world.ctl(*command)
        assert answer.code == 2 and answer.out == "", (command, answer)
        assert answer.err


def test_dataplane_away_is_unavailable(unchanged, api):
    world = unchanged.world
    world.kill_dp()
    try:
        for method, fields in (
                ("Attach", {"interface_name": "w0"}),
                ("Detach", {"id": unchanged.id}),
                ("SetMode", {"id": unchanged.id,
                             "mode": api.policy.MODE_DISABLED}),
                ("Apply", {"id": unchanged.id, "policy": api.make_policy()}),
                ("AllowCIDR", {"id": unchanged.id, "cidr": "10.30.0.0/16"}),
                ("RemoveCIDR", {"id": unchanged.id, "cidr": "10.20.0.0/16"})):
            api.refused("UNAVAILABLE", method, "sentinel-dp", **fields)
        # Bad input is still bad input, and reading works.
        api.refused("INVALID_ARGUMENT", "AllowCIDR", "cidr", id=unchanged.id,
                    cidr="10.0.0.1/8")
        assert len(api.call("GetRules", id=unchanged.id).rules) == 1
        status = api.call("GetStatus")
        assert not status.dataplane.connected
        assert status.dataplane.last_error
    finally:
        world.start_dp()
        world.wait_connected()


def test_socket_admits_administrators_only(unchanged):
    """By the mode of the file; nobody is in no group of ours."""
    world = unchanged.world
    status = os.stat(world.api_path)
    assert status.st_mode & 0o777 == 0o660
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         str(world.bin / "sentinelctl"), "--socket", str(world.api_path),
         "list"], text=True, capture_output=True)
    assert done.returncode == 1 and done.stdout == ""
    assert str(world.api_path) in done.stderr
    assert "ermission" in done.stderr
    # With the group it works.
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534",
         "--groups=" + str(status.st_gid),
         str(world.bin / "sentinelctl"), "--socket", str(world.api_path),
         "list"], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
