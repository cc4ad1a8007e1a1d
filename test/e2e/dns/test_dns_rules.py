# SPDX-License-Identifier: Apache-2.0
"""Detection rules by the names that the resolver has opened."""

import json
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "runtime"))

import world as worlds  # noqa: E402
from lab import DnsWorld, Site, config, until  # noqa: E402
from tracing import SMALL  # noqa: E402

POLICY = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, subdomains: true}
    - {allow: other.test}
    - {allow: shared.test}
"""
# The second shows that a connection was judged at all.
RULES = """
rules:
  - name: by-name
    event: net_connect
    match: {destination_names: ["*.good.test"]}
  - name: connects
    event: net_connect
    match: {cidrs: [203.0.113.0/24]}
"""


@pytest.fixture(scope="module")
def world(host, tmp_path_factory):
    tracefs = tmp_path_factory.mktemp("tracefs")
    worlds.run("mount", "-t", "tracefs", "tracefs", tracefs)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        rules = Path(folder) / "rules.yaml"
        rules.write_text(RULES)
        rules.chmod(0o644)
        made = DnsWorld(
            dp_options=[*SMALL, "--tracefs", tracefs],
            config=config() + "runtime:\n  enabled: true\n"
            f"detection:\n  rules: {rules}\n  rate: 0\n")
        yield made
        made.end()
    worlds.run("umount", tracefs)


def found(world):
    answer = world.ctl("findings", "-o", "json")
    assert answer.code == 0, answer
    return [json.loads(line) for line in answer.out.splitlines()]


def owner(world, site):
    """The attachment that a connection made now is found with."""
    def others():
        return [one["event"] for one in found(world)
                if one["event"]["remote"]["address"] == "203.0.113.99"]
    before = len(others())
    site.is_open("203.0.113.99")
    until(lambda: len(others()) > before, "a connection is found")
    return others()[-1]["process"].get("attachment", "")


@pytest.fixture
def box(clean):
    clean.zone(www__good={"A": [60, "203.0.113.1"]},
               other={"A": [60, "203.0.113.40"]},
               shared={"A": [60, "203.0.113.60"]},
               shared__good={"A": [60, "203.0.113.60"]})
    clean.upstream.behave()
    until(lambda: clean.ok("status")["detection"]["in_force"],
          "the kernel has the rules")
    made = Site(clean, "cgroup")
    assert owner(clean, made) == ""
    made.attach(POLICY)
    assert owner(clean, made) == made.id
    yield made
    made.client.drop_kept()


class Seen:
    """What connections of a test hit, in order."""

    def __init__(self, world):
        self.world = world
        self.before = len(self.all())

    def all(self):
        return [(one["rule"], one["event"]["remote"]["address"])
                for one in found(self.world)]

    def wait(self, last):
        until(lambda: last in self.all()[self.before:], f"{last} is found")
        return self.all()[self.before:]


def test_a_connection_is_found_by_the_name_that_was_asked_for(clean, box):
    for name in ("www.good.test", "other.test"):
        assert box.query(name)["rcode"] == "NOERROR"
    seen = Seen(clean)
    assert box.is_open("203.0.113.40")
    assert box.is_open("203.0.113.1")
    assert seen.wait(("connects", "203.0.113.1")) == [
        ("connects", "203.0.113.40"), ("by-name", "203.0.113.1"),
        ("connects", "203.0.113.1")]


def test_a_shared_address_is_found_once_one_of_its_names_fits(clean, box):
    seen = Seen(clean)
    assert box.query("shared.test")["rcode"] == "NOERROR"
    assert box.is_open("203.0.113.60")
    assert seen.wait(("connects", "203.0.113.60")) == [
        ("connects", "203.0.113.60")]
    assert box.query("shared.good.test")["rcode"] == "NOERROR"
    assert box.is_open("203.0.113.60")
    assert seen.wait(("by-name", "203.0.113.60"))[:2] == [
        ("connects", "203.0.113.60"), ("by-name", "203.0.113.60")]
