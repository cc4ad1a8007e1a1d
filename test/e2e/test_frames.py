# SPDX-License-Identifier: Apache-2.0
"""Frames that an honest workload would not send, made by scapy and put on the
wire under a mode that passes everything else; each is dropped for its own
reason. And the frames that every network needs, which pass."""

import json

import pytest
from scapy.all import (ARP, BOOTP, DHCP, ICMP, IP, TCP, UDP, Dot1Q, Ether,
                       ICMPv6DestUnreach, ICMPv6ND_NS, ICMPv6ND_RA,
                       ICMPv6ND_Redirect, ICMPv6NDOptSrcLLAddr, IPOption_LSRR,
                       IPv6, IPv6ExtHdrFragment, IPv6ExtHdrRouting, Raw, conf)

from traffic import A, B, NEAR, blocked_reasons
from world import until

conf.verb = 0
V4 = {"src": NEAR[4], "dst": A[4]}
V6 = {"src": NEAR[6], "dst": A[6]}
PORTS = {"sport": 4000, "dport": 80}
OTHER = "02:00:00:00:00:99"


@pytest.fixture
def wire(interface):
    """Sends a frame out of the workload's interface, once."""
    interface.attach("--mode", "denylist")
    network = interface.world.network
    link = json.loads(network.ip("-j", "link", "show", "eth0",
                                 namespace="workload").stdout)[0]
    router = json.loads(network.ip("-j", "link", "show", "w0").stdout)[0]
    interface.mac = link["address"]

    def send(payload, times=1, ethertype=None):
        frame = Ether(src=link["address"], dst=router["address"]) / payload
        if ethertype:
            frame.type = ethertype
        network.workload.frames(interface="eth0",
                                frames=[bytes(frame).hex()] * times)

    interface.send = send
    return interface


DROPPED = {
    "arp": [lambda: ARP(op=2, hwsrc=OTHER, psrc="10.10.0.1")],
    "neighbour": [
        lambda: IPv6(src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_RA(),
        lambda: IPv6(src="fe80::1", dst=NEAR[6], hlim=255) /
        ICMPv6ND_Redirect(),
        lambda: IPv6(src=NEAR[6], dst="fd10::1", hlim=64) /
        ICMPv6ND_NS(tgt="fd10::1") / ICMPv6NDOptSrcLLAddr(lladdr=OTHER),
    ],
    "dhcp": [lambda: IP(src=NEAR[4], dst="255.255.255.255") /
             UDP(sport=67, dport=68) / BOOTP(op=2) /
             DHCP(options=[("message-type", "offer"), "end"])],
    "encapsulated": [lambda: Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP(**V4) /
                     UDP(**PORTS)],
    "source-route": [
        lambda: IP(options=[IPOption_LSRR(routers=[B[4]])], **V4) /
        UDP(**PORTS),
        lambda: IPv6(**V6) / IPv6ExtHdrRouting(addresses=[B[6]]) /
        UDP(**PORTS),
    ],
    "fragment": [
        lambda: IP(frag=100, id=77, proto=17, **V4) / Raw(bytes(64)),
        lambda: IPv6(**V6) / IPv6ExtHdrFragment(offset=100, id=77, nh=17) /
        Raw(bytes(64)),
        # Into the header of a first one.
        lambda: IP(frag=1, id=79, proto=6, **V4) / Raw(bytes(16)),
    ],
    "fragment-short": [
        lambda: IP(flags="MF", id=78, proto=6, **V4) / Raw(bytes(16)),
        lambda: IPv6(**V6) / IPv6ExtHdrFragment(m=1, id=78, nh=6) /
        Raw(bytes(16)),
    ],
    "icmp-error": [
        lambda: IP(**V4) / ICMP(type=3, code=3) /
        IP(src=A[4], dst=NEAR[4]) / UDP(sport=9, dport=9),
        lambda: IPv6(**V6) / ICMPv6DestUnreach() /
        IPv6(src=A[6], dst=NEAR[6]) / UDP(sport=9, dport=9),
    ],
    "address": [lambda: IPv6(src=NEAR[6], dst="::ffff:10.20.0.1") /
                UDP(**PORTS)],
    "parse": [
        lambda: IP(ihl=4, **V4) / UDP(**PORTS),
        lambda: IP(len=2000, **V4) / UDP(**PORTS),
        lambda: IP(**V4) / TCP(dataofs=3, **PORTS),
        lambda: IPv6(plen=4000, **V6) / UDP(**PORTS),
    ],
}


@pytest.mark.parametrize("reason", DROPPED)
def test_dropped_by_name(wire, reason):
    far = wire.world.network.a
    everything = [[None, None, None, A[4], None], [None, None, None, A[6],
                                                   None]]
    for number, make in enumerate(DROPPED[reason]):
        before = wire.settle()
        seen = [flow["count"] for flow in far.seen(flows=everything)]
        wire.send(make(), times=3)
        wire.difference(before, packets_blocked=3,
                        **{"reason:" + reason: 3})
        assert [flow["count"] for flow in far.seen(flows=everything)] == \
            seen, (reason, number)


def test_other_ethertypes_need_a_mode_that_does_not_restrict(wire):
    payload = Raw(bytes(60))
    before = wire.settle()
    wire.send(payload, times=3, ethertype=0x88b5)
    wire.difference(before, packets_allowed=3)
    for mode in ("allowlist", "block-all"):
        wire.world.ok("mode", wire.id, mode)
        before = wire.settle()
        wire.send(payload, times=3, ethertype=0x88b5)
        wire.difference(before, packets_blocked=3, reason_ethertype=3)


NEEDED = {
    "arp": lambda mac: ARP(op=1, hwsrc=mac, psrc=NEAR[4], pdst="10.10.0.1"),
    "neighbour solicitation": lambda mac: IPv6(
        src=NEAR[6], dst="ff02::1:ff00:1", hlim=255) /
    ICMPv6ND_NS(tgt="fd10::1") / ICMPv6NDOptSrcLLAddr(lladdr=mac),
    "dhcp": lambda mac: IP(src="0.0.0.0", dst="255.255.255.255") /
    UDP(sport=68, dport=67) / BOOTP(op=1, chaddr=bytes(16)) /
    DHCP(options=[("message-type", "discover"), "end"]),
}


@pytest.mark.parametrize("what", NEEDED)
def test_always_passes(wire, what):
    """Also in the strictest mode."""
    wire.world.ok("mode", wire.id, "block-all")
    before = wire.settle()
    wire.send(NEEDED[what](wire.mac), times=3)
    until(lambda: wire.counted()["packets_allowed"] >=
          before["packets_allowed"] + 3, "three packets passed")
    assert wire.counted()["packets_blocked"] == before["packets_blocked"]


def test_spoofed_frames_do_not_pass_as_needed(wire):
    wire.world.ok("mode", wire.id, "block-all")
    before = wire.settle()
    wire.send(NEEDED["arp"](OTHER), times=2)
    wire.difference(before, packets_blocked=2, reason_arp=2)


@pytest.mark.parametrize("family", [4, 6])
def test_path_mtu_discovery_works(interface, family):
    """An ICMP error about a live flow reaches the workload."""
    network = interface.world.network
    interface.attach(policy="cidrs:\n  - {allow: 10.20.0.0/16, ports: [udp]}\n"
                            "  - {allow: fd20::/16, ports: [udp]}\n")
    network.ip("link", "set", "a0", "mtu", "1300")
    try:
        assert interface.client.path_mtu(target=A[family], port=443,
                                         size=1380)
        assert "icmp-error" not in blocked_reasons(interface.show())
    finally:
        network.ip("link", "set", "a0", "mtu", "1500")


def test_later_fragments_follow_an_allowed_first_one_only(interface):
    """Those of the same datagram pass, those of another do not."""
    interface.attach(policy="cidrs:\n  - {allow: 10.20.0.0/16, "
                            "ports: [80/udp]}\n")
    network = interface.world.network
    router = json.loads(network.ip("-j", "link", "show", "w0").stdout)[0]

    def send(*packets):
        network.workload.frames(interface="eth0", frames=[
            bytes(Ether(dst=router["address"]) / packet).hex()
            for packet in packets])

    first = IP(flags="MF", id=500, **V4) / UDP(len=48, chksum=0, **PORTS) / \
        Raw(bytes(24))
    denied = IP(flags="MF", id=501, **V4) / UDP(len=48, sport=1, dport=81) / \
        Raw(bytes(24))
    before = interface.settle()
    send(first, IP(frag=4, id=500, proto=17, **V4) / Raw(bytes(16)),
         denied, IP(frag=4, id=501, proto=17, **V4) / Raw(bytes(16)))
    # Port 80 answers, and the workload, which has no socket for the answer,
    # says so in an ICMP error about this live flow.
    interface.difference(before, packets_allowed=4, packets_blocked=2,
                         reason_no_rule=1, reason_fragment=1)
