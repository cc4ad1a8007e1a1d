# SPDX-License-Identifier: Apache-2.0
"""Fixtures of tests outside dns/ that need names as well as traffic: a module
imports them by name."""

import json
import select
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "dns"))

from lab import DnsWorld, Site, config, until  # noqa: E402

PEER = "203.0.113.1"  # good.test
OTHER = "203.0.113.40"  # other.test


@pytest.fixture(scope="module")
def world(host, request):
    made = DnsWorld(**getattr(request.module, "WORLD", {}))
    yield made
    made.end()


def prepare(world):
    world.upstream.behave()
    world.zone(good={"A": [60, PEER], "AAAA": [60, "2001:db8:b::1"]},
               other={"A": [60, OTHER]},
               deep__other={"A": [60, "203.0.113.41"]})


@pytest.fixture(params=["tc", "cgroup"])
def place(request, clean):
    """An interface or a cgroup with a client in it, nothing attached yet."""
    made = Site(clean, request.param)
    prepare(clean)
    yield made
    made.client.drop_kept()


@pytest.fixture
def box(clean):
    made = Site(clean, "cgroup")
    prepare(clean)
    yield made
    made.client.drop_kept()


def events(world, *options):
    """What `sentinelctl events` shows now."""
    answer = world.ctl("events", "-o", "json", *options)
    assert answer.code == 0, answer
    return [json.loads(line) for line in answer.out.splitlines()]


class Follower:
    """sentinelctl events -f, read as it comes."""

    def __init__(self, world, *options):
        self.child = subprocess.Popen(
            [str(world.bin / "sentinelctl"), "events", "-f", "-o", "json",
             *options], bufsize=0, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"SENTINEL_SOCKET": str(world.api_path)})
        self.data = b""

    def next(self):
        """Fails if none comes soon."""
        while b"\n" not in self.data:
            assert select.select([self.child.stdout], [], [], 10)[0], \
                "no event"
            more = self.child.stdout.read(65536)
            assert more, self.child.stderr.read()
            self.data += more
        line, _, self.data = self.data.partition(b"\n")
        return json.loads(line)

    def end(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        self.child.stderr.close()


__all__ = ["OTHER", "PEER", "DnsWorld", "Follower", "Site", "box", "config",
           "events", "place", "until", "world"]
