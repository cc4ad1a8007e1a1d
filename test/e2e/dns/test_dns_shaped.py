# SPDX-License-Identifier: Apache-2.0
"""Answers of all interfaces leave by the same sockets: those that wait in one
tenant's shaped queue must not keep the others' back."""

import pytest

from lab import ANY_SERVER, Site

ALLOW = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, subdomains: true}
"""


@pytest.fixture
def neighbour(clean):
    """Another workload, on an interface of its own."""
    clean.network.add_namespace("later")
    clean.network.link("l0", "later", ("10.12.0.1", "fd12::1"),
                       ("10.12.0.2", "fd12::2"))
    site = Site(clean, "tc")
    site.target = "l0"
    site.client = clean.client("later")
    yield site
    clean.network.ip("link", "delete", "l0", check=False)


def test_a_slow_interface_keeps_no_others_answers_back(sites, neighbour):
    world = neighbour.world
    slow = sites["tc"]
    world.zone(good={"A": [60, "203.0.113.1"]})
    for site in (slow, neighbour):
        site.attach(ALLOW)
    assert neighbour.query("good.test")["result"] == "ok"
    # A megabyte may wait there, several times what a socket may send.
    world.network.tc("qdisc", "add", "dev", "w0", "root", "tbf", "rate",
                     "8kbit", "burst", "3000", "limit", "1000000")
    try:
        slow.client.call("flood", server=ANY_SERVER[4], seconds=2)
        slow.client.call("flooded")
        slow.client.call("flood", server=ANY_SERVER[4], seconds=5)
        answers = [neighbour.query("good.test", timeout_s=1)["result"]
                   for _ in range(20)]
        slow.client.call("flooded")
    finally:
        world.network.tc("qdisc", "delete", "dev", "w0", "root")
    assert answers == ["ok"] * 20
