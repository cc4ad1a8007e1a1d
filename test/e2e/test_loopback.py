# SPDX-License-Identifier: Apache-2.0
"""Traffic within one cgroup over the loopback device."""

import pytest

PORT = 7091
OWN = f"""
cidrs:
  - {{allow: 127.0.0.0/8, ports: [{PORT}]}}
  - {{allow: "::1", ports: [{PORT}]}}
"""
CLOSED = "cidrs:\n  - allow: 10.20.0.0/16\n"
ADDRESSES = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::"]


SERVED = set()


@pytest.fixture
def server(box):
    """The box serves to itself, so both ends are under its policy."""
    if box.client not in SERVED:
        box.client.serve(tcp=[PORT], udp=[PORT])
        SERVED.add(box.client)
    return box


def results(target, wanted):
    return [answer["result"] for answer in target.client.probe(
        probes=[[protocol, address, PORT, wanted]
                for address in ADDRESSES for protocol in ("tcp", "udp")],
        grace_s=0.1)]


def test_an_open_port_of_its_own_answers_also_by_the_unspecified_address(
        server):
    server.attach(policy=OWN)
    assert set(results(server, True)) == {"ok"}


def test_its_own_ports_are_closed_without_a_rule(server):
    server.attach(policy=CLOSED)
    assert set(results(server, False)) == {server.refusal}
