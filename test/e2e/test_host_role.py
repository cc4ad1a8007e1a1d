# SPDX-License-Identifier: Apache-2.0
"""Role `host`: the interface's own egress is the filtered side. Only where
sentinel-dp was told that it may."""

import pytest

from traffic import A, B, Target, each

WORLD = {"dp_options": ["--allow-host-role"]}


@pytest.fixture
def uplink(clean):
    """The router's interface towards server a, and a process of the router."""
    target = Target(clean, "cgroup")
    target.kind, target.name = "tc", "a0"
    return target


def test_own_egress_is_filtered(uplink):
    uplink.attach("--role", "host", policy="""
cidrs:
  - {allow: 10.20.0.0/16, ports: [80/tcp, icmp]}
  - {allow: fd20::/16, ports: [80/tcp, icmp6]}
""")
    assert uplink.show()["role"] == "host"
    uplink.judge(each(A, True, ("tcp", "icmp")) + each(A, False, ("udp",)) +
                 # Another interface.
                 each(B, True), refusal="timeout")


def test_what_it_forwards_is_its_egress_too(uplink, interface):
    uplink.attach("--role", "host")
    interface.judge(each(A, False) + each(B, True))


def test_others_may_not_open_flows_to_it(uplink):
    """Inbound is `replies` here too."""
    network = uplink.world.network
    uplink.client.serve(tcp=[8888])

    def attempt(wanted):
        return network.a.probe(probes=[["tcp", "10.254.1.1", 8888, wanted]],
                               grace_s=0.1)[0]["result"]

    network.forget()
    assert attempt(True) == "ok"
    uplink.attach("--role", "host")
    assert attempt(False) == "timeout"


def test_an_interface_of_another_kind_is_host_by_default(clean):
    """Loopback is no veth and no tap."""
    ident = clean.attach("lo", "--mode", "disabled")
    assert clean.show(ident)["role"] == "host"
