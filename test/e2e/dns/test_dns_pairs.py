# SPDX-License-Identifier: Apache-2.0
"""Resolve, then send at once: not one first packet is dropped. Judged by the
kernel of the far end, which refuses and counts each SYN and each datagram; one
that was lost and sent again is one that was refused too late or not counted.
100,000 pairs, half of them from an interface and half from a cgroup; SN_SOAK=1
makes a million of each."""

import os
import subprocess

import pytest

from lab import ANY_SERVER, HERE, config
from world import run

# One question in sixteen goes by TCP, which counts until time makes it good: an
# idle machine asks more than the thousand a second that are the preset.
WORLD = {"config": config(quotas="{names: 8192, addresses: 65536, "
                                 "addresses_per_name: 16}"),
         "dp_options": ("--dns-rate", 100000)}
SOAK = os.environ.get("SN_SOAK") == "1"
PAIRS, NAMES, THREADS = 1000000 if SOAK else 50000, 5000, 8
CLOSED_PORT = 81
ALLOW = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, subdomains: true}
"""


@pytest.fixture(scope="module")
def program(world):
    path = world.folder / "dns_pairs"
    run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror",
        "-pthread", "-o", path, HERE.parent / "tools/dns_pairs.c")
    return path


def addresses_of(number):
    """Two of each family that no other name has."""
    return {"A": [f"20.99.{at // 250}.{at % 250 + 1}"
                  for at in (2 * number, 2 * number + 1)],
            "AAAA": [f"2001:db8:b:{number:x}::{at}" for at in (1, 2)]}


def refused_by(world):
    """What server b had for ports on which nobody listens: SYNs (each is
    answered with a reset) and datagrams."""
    counted = {}
    lines = [line.split() for line in
             run(*world.network.enter("b"), "cat", "/proc/self/net/snmp")
             .stdout.splitlines()]
    for names, values in zip(lines[::2], lines[1::2]):
        counted.update({names[0] + name: int(value) for name, value in
                        zip(names[1:], values[1:])})
    for line in run(*world.network.enter("b"), "cat", "/proc/self/net/snmp6") \
            .stdout.splitlines():
        name, value = line.split()
        counted[name] = int(value)
    return (counted["Tcp:OutRsts"],
            counted["Udp:NoPorts"] + counted["Udp6NoPorts"])


def test_no_first_packet_is_lost_after_an_answer(site, program):
    world = site.world
    world.upstream.put(records={
        f"p{number}.good.test.": {
            kind: [2 + number % 3, *addresses]
            for kind, addresses in addresses_of(number).items()}
        for number in range(NAMES)})
    site.attach(ALLOW)
    before = refused_by(world)
    namespace, cgroup = ("workload", "agents") if site.kind == "tc" else \
        ("router", "box")
    arguments = (ANY_SERVER[4], ANY_SERVER[6], NAMES, PAIRS, THREADS,
                 CLOSED_PORT)
    done = subprocess.run(
        [*world.in_cgroup(cgroup), *world.network.enter(namespace),
         str(program), *map(str, arguments)], text=True, capture_output=True,
        timeout=PAIRS / 250, check=True)
    unanswered, connects, datagrams, lost = map(int, done.stdout.split())
    assert (unanswered, lost) == (0, 0), \
        f"{done.stderr}{world.reasons(site.id)}\n{world.logs()}"
    assert connects + datagrams == PAIRS
    assert min(connects, datagrams) > PAIRS // 3
    after = refused_by(world)
    assert [now - then for now, then in zip(after, before)] == \
        [connects, datagrams]
    # Both types of nearly all names, whatever the pace.
    assert len(world.upstream.take_asked()) > NAMES * 3 // 2
    shown = site.show()
    assert (int(shown["packets_blocked"]), int(shown["calls_refused"])) == \
        (0, 0), world.reasons(site.id)
