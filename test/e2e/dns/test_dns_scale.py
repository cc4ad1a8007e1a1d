# SPDX-License-Identifier: Apache-2.0
"""Many attachments on the same few sockets: each gets the answers that its own
policy has for it, to the last slot. SN_SOAK=1 makes them as many as there may be."""

import os
import random
import re
from concurrent import futures

import pytest

import api as api_client
from lab import Site
from world import run

SOAK = os.environ.get("SN_SOAK") == "1"
COUNT, CHOSEN, IN_FLIGHT = (9999, 40, 8) if SOAK else (500, 6, 8)
# Where sentinel-cp listens on the two paths (ARCHITECTURE.md, section 6).
PORTS = re.compile(r":2005[34]\s")
ASKED = [("198.51.100.53", "udp"), ("198.51.100.53", "tcp"),
         ("2001:db8:53::53", "udp"), ("2001:db8:53::53", "tcp")]


def name_of(number):
    return f"n{number}.scale.test"


def address_of(number):
    """In a network that server b has; others than a chosen one may have it
    too."""
    return f"20.99.{number % 4096 // 256}.{number % 256}"


def listening(world):
    """The resolver's sockets: UDP without a peer and TCP that accepts."""
    lines = run(*world.network.enter("router"), "ss", "-Haunltp").stdout.splitlines()
    return sorted(line.split()[4] + " " + line.split()[0] for line in lines
                  if f"pid={world.cp.pid}," in line and PORTS.search(line))


@pytest.fixture
def api(clean, stubs):
    made = api_client.Client(clean.api_path, stubs)
    yield made
    made.close()


def attach_all(api, targets):
    """Attachment i opens name i and no address."""
    kind = api.policy

    def attach(number, fields):
        names = kind.DnsPolicy(domains=[kind.DomainRule(
            verdict=kind.VERDICT_ALLOW, domain=name_of(number))])
        return api.call("Attach", policy=api.make_policy(dns=names), **fields)

    with futures.ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(attach, range(len(targets)), targets))


def judge(client, own, others):
    for server, protocol in ASKED:
        answer = client.query(name=name_of(own), server=server,
                              protocol=protocol)
        assert answer["result"] == "ok", (own, server, protocol)
        assert answer["addresses"] == [address_of(own)]
        for other in others:
            answer = client.query(name=name_of(other), server=server,
                                  protocol=protocol)
            assert answer["rcode"] == "REFUSED", (own, other, server)
    assert client.touch(address=address_of(own), timeout_s=8) == "ok"
    for other in others:
        assert client.touch(address=address_of(other), timeout_s=0.3) != "ok"


def test_many_attachments_share_the_sockets(clean, api):
    world = clean
    world.upstream.behave()
    world.upstream.put(records={
        name_of(number) + ".": {"A": [300, address_of(number)]}
        for number in range(COUNT + 1)})
    random.seed(int(os.environ.get("SN_TEST_SEED", "4711")))
    chosen = sorted({0, COUNT - 1, *random.sample(range(COUNT), CHOSEN)})
    clients = {number: world.client("router", f"many{number}")
               for number in chosen}
    clients[COUNT] = Site(world, "tc").client
    before = listening(world)
    attach_all(api, [{"cgroup_path": str(world.cgroup(f"many{number}"))}
                     for number in range(COUNT)] +
               [{"interface_name": "w0"}])
    assert listening(world) == before
    assert len(before) == 8, before
    # All ask before any is judged, so that what one opens is there to leak.
    for number, client in clients.items():
        assert client.query(name=name_of(number), server=ASKED[0][0])[
            "rcode"] == "NOERROR"
    taken = {address_of(number) for number in clients}
    assert len(taken) == len(clients)
    for number, client in clients.items():
        others = random.sample([n for n in clients if n != number], 2)
        judge(client, number, others)
