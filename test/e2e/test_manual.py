# SPDX-License-Identifier: Apache-2.0
"""Manual pages and completions say all there is, and can be read by those who
read them."""

import re

import pytest
import yaml

from world import BUILD, ROOT, run

PAGES = ("sentinelctl.1", "sentinel-dp.8", "sentinel-cp.8",
         "sentinel-detector.8", "sentinel-cp.yaml.5", "sentinel-policy.5",
         "sentinel-rules.5")


@pytest.fixture(scope="module")
def pages():
    """What `make man` makes, as text."""
    run("make", "-C", ROOT, f"B={BUILD.resolve()}", "man")
    return {name: re.sub(r"\s+", " ", re.sub(".\b", "", run(
        "mandoc", "-T", "utf8", "-O", "width=500",
        BUILD / "man" / name).stdout)) for name in PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_clean(pages, name):
    done = run("mandoc", "-T", "lint", "-W", "warning", BUILD / "man" / name,
               check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "@" not in re.sub(r"\S+@\S+", "", pages[name])


def options_of(text):
    return set(re.findall(r"--([a-z][a-z0-9-]+)", text))


@pytest.mark.parametrize("name", ["sentinel-dp", "sentinel-cp",
                                  "sentinel-detector"])
def test_options_of_the_daemons(pages, name):
    options = options_of(run(BUILD / name, "--help").stdout)
    assert len(options) > 5
    assert options <= options_of(pages[name + ".8"])


def commands():
    text = run(BUILD / "sentinelctl", "--help").stdout
    part = text.partition("Commands:\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in part.splitlines()]


def test_commands_and_their_options(pages):
    page = pages["sentinelctl.1"]
    assert len(commands()) > 15
    for command in commands():
        text = run(BUILD / "sentinelctl", command, "--help").stdout
        part = page.partition(f" {command} sentinelctl {command} ")[2]
        part = part[:part.index("Example:")]
        own = text.partition("\nOptions:\n")[2].partition("\n\n")[0]
        assert options_of(own) <= options_of(part), command
        example = text.partition("\nExample:\n  ")[2].strip()
        assert example in page, command


def keys_of_yaml(text):
    """Keys of a commented sample, each with the ones above it."""
    found, above = set(), []
    for line in text.splitlines():
        match = re.match(r"(?:# ?)?( *)([a-z_]+):( |$)", line)
        if not match:
            continue
        depth = len(match[1]) // 2
        above[depth:] = [match[2]]
        found.add(".".join(above))
    return found


def test_options_of_the_configuration(pages):
    """As the schema's own text and the sample have them."""
    page = pages["sentinel-cp.yaml.5"]
    sample = (ROOT / "etc" / "sentinel-cp.yaml").read_text()
    live = {key for key in keys_of_yaml("\n".join(
        line for line in sample.splitlines() if not line.startswith("#")))}
    assert len(live) > 15
    for key in live:  # a list's name has brackets
        assert f" {key}: " in page or f" {key}[]: " in page, key


def test_keys_of_the_policy(pages):
    page = pages["sentinel-policy.5"]
    for key in ("mode", "audit", "inbound", "cidrs[]", "cidrs[].allow",
                "cidrs[].ttl", "dns.mode", "dns.steering", "dns.upstreams",
                "dns.domains[].allow", "dns.domains[].ttl_floor",
                "dns.allow_private", "dns.hints", "dns.dnssec", "dns.denied"):
        assert f" {key}: " in page, key


def test_keys_of_the_rules(pages):
    page = pages["sentinel-rules.5"]
    for key in ("lists[]", "lists[].items", "macros[].match", "rules[].name",
                "macros[].match.path_globs", "rules[].match",
                "rules[].exceptions[]", "rules[].rate.window",
                "rules[].output"):
        assert f" {key}: " in page, key
    assert "rules[].match.path_globs" not in page  # told once


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_know_every_command(pages, shell):
    path = BUILD / "completions" / shell
    assert all(command in path.read_text() for command in commands())
    if shell == "bash":  # the others are large: `make check-peers`
        run(shell, "-n", path)


@pytest.mark.parametrize("words, wanted", [
    (["sentinelctl", "d"], ["deny", "detach", "diff", "dns-mode",
                           "doctor"]),
    (["sentinelctl", "run", "--al"], ["--allow"]),
    (["sentinelctl", "attach", "--mode", "b"], ["block-all"]),
    (["sentinelctl", "list", "-o", ""], ["json", "table", "yaml"]),
    (["sentinelctl", "rules", "ch"], ["check"]),
    (["sentinelctl", "completion", ""], ["bash", "fish", "zsh"]),
    (["sentinelctl", "run", "--", "ech"], ["echo"])])
def test_bash_completes(pages, words, wanted):
    quoted = " ".join(f"'{word}'" for word in words)
    done = run("bash", "-c", f". {BUILD}/completions/bash; "
               f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
               "_sentinelctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    assert set(wanted) <= set(done.stdout.split())
    if words[-1] != "ech":
        assert sorted(done.stdout.split()) == wanted


def test_completion_for_another_shell_is_refused():
    done = run(BUILD / "sentinelctl", "completion", "tcsh", check=False)
    assert done.returncode == 2 and "bash, zsh or fish" in done.stderr


def test_yaml_is_the_same_as_json(box):
    world = box.world
    box.id = world.attach(box.name, "--meta", "a=yes", "--meta", "b=12",
                          "--meta", "c=null", "--meta", "d=# x: [",
                          policy="mode: allowlist\ncidrs:\n"
                          "  - {allow: 10.20.0.0/16, ports: [443/tcp]}\n")
    for command in (["show", box.id], ["list"], ["rules", box.id],
                    ["learnt", box.id], ["features"]):
        text = world.ctl(*command, "-o", "yaml")
        assert text.code == 0, text
        assert yaml.safe_load(text.out) == world.ok(*command), command


def test_yaml_of_what_changes_something(box):
    world = box.world
    policy = world.folder / "yaml-policy.yaml"
    policy.write_text("mode: allowlist\ncidrs: [{allow: 192.0.2.9}, "
                      "{allow: 198.51.100.0/24}]\n")
    attached = world.ctl("attach", "--cgroup", box.name, "-o", "yaml")
    box.id = yaml.safe_load(attached.out)["id"]
    for command in (["apply", box.id, policy],
                    ["apply", box.id, policy, "--dry-run"],
                    ["mode", box.id, "denylist", "--audit"],
                    ["dns-mode", box.id, "denylist"],
                    ["allow", box.id, "a.test", "--ports", "443"],
                    ["deny", box.id, "b.test"], ["deny", box.id, "192.0.2.1"],
                    ["remove", box.id, "192.0.2.9"], ["status"],
                    ["explain", box.id, "b.test:443"], ["learn", box.id],
                    ["diff", box.id, policy], ["detach", box.id]):
        again = [{"192.0.2.9": "198.51.100.0/24"}.get(word, word)
                 for word in command] if command[0] == "remove" else command
        expected = world.ok(*command)
        if command[0] == "detach":
            again = [*command[:1], world.attach(box.name)]
        text = world.ctl(*again, "-o", "yaml")
        assert text.code == 0, text
        # Without anything in it there is only one way to write it.
        assert text.out in ("[]\n", "{}\n") or text.out[0] not in "{[", text
        read = yaml.safe_load(text.out)
        assert type(read) is type(expected), command
        if isinstance(read, dict):
            assert list(read) == list(expected), command
