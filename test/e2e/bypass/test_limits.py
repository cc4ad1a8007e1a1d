# SPDX-License-Identifier: Apache-2.0
"""What a hook cannot stop: what does hold is pinned here, and where it concerns
the target Attach has to say so in its notes; THREATS.md has the whole list. And
attempts that need more than one sender, or a flow from before."""

import struct

import pytest
from scapy.all import (ARP, BOOTP, DHCP, IP, TCP, UDP, Dot1Q, Ether,
                       ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, IPv6, Raw)

from place import PORT, Tun
from row import BODY, MARK, MAY, Row, frames, packets
from rows_ipv4 import first, later
from traffic import A, B

WORLD = {"dp_options": ["--allow-host-role"]}
ALL = "ff:ff:ff:ff:ff:ff"


def good(place, **more):
    return IP(**{"src": place.me4, "dst": A[4], **more}) / \
        TCP(sport=4000, dport=PORT, flags="S") / BODY


def ether(place, **more):
    return Ether(**{"src": place.mac, "dst": place.mac_far, **more})


# Row; a part of what Attach says about it, None if it concerns every target.
PASSED = [
    (frames("AF_PACKET in a cgroup", lambda p: ether(p) / IP(
        src=p.me4, dst=A[4]) / UDP(dport=PORT) / BODY, on=("cgroup",)),
     "AF_PACKET"),
    (frames("PACKET_QDISC_BYPASS in a cgroup", lambda p: ether(
        p, type=0x88b5) / BODY, how={"bypass": True}, on=("cgroup",)),
     "AF_PACKET"),
    (packets("foreign address, allowed port", lambda p: good(
        p, src="10.99.9.9"), on=("bridge", "tun", "cgroup")),
     None),
    (frames("VLAN tag, allowed port", lambda p: ether(p) / Dot1Q(vlan=5) /
            good(p), on=("bridge",)), None),
    (frames("allowed port, another machine of the link", lambda p: ether(
        p, dst=ALL) / good(p), on=("bridge",)), None),
    (frames("bytes behind the packet", lambda p: ether(p) / IP(
        src=p.me4, dst=A[4], len=40) / TCP(sport=4000, dport=PORT) / BODY,
        on=("bridge",)), None),
    (frames("ARP for another's address", lambda p: ether(p, dst=ALL) / ARP(
        op=2, hwsrc=p.mac, psrc="10.40.0.1", pdst="10.40.0.9") / BODY,
        on=("bridge",)), None),
    (frames("advertisement for another's address", lambda p: ether(p) / IPv6(
        src="fd40::1", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt="fd40::1") /
        BODY, on=("bridge",)), None),
    (frames("solicitation to a host behind a router", lambda p: ether(p) /
            IPv6(src=p.me6, dst=B[6], hlim=255) / ICMPv6ND_NS(tgt=B[6]) /
            BODY, on=("bridge", "routed")), None),
    (frames("DHCP discovery with a payload", lambda p: ether(p, dst=ALL) /
            IP(src="0.0.0.0", dst="255.255.255.255") /
            UDP(sport=68, dport=67) / BOOTP(op=1) /
            DHCP(options=[("message-type", 1), "end"]) / Raw(MARK * 100),
            on=("bridge",)), None),
    # The call's address is where it goes, whatever its header says.
    (Row("IP_HDRINCL by way of another host", ("cgroup",), lambda p:
         [p.sender.send_packet_to(device=p.device, target="10.254.2.2",
                                  packet=bytes(good(p)).hex())]), None),
    (frames("router advertisement in role host", lambda p: ether(p) / IPv6(
        src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_RA() / BODY,
        on=("macvlan",)), None),
]


def says(place, what):
    return any(what in note for note in place.notes)


@pytest.mark.parametrize("kind, row, told", [
    pytest.param(kind, row, told, id=f"{kind}: {row.name}")
    for row, told in PASSED for kind in row.on])
def test_passes_and_says_so(places, kind, row, told):
    place = places(kind)
    place.set(row.policy)
    place.fence()
    sent = row.send(place)
    assert marked(place.fence()), sent
    assert told is None or says(place, told)


def test_packet_sockets_of_the_host_itself(places, ground):
    """In role host the policy is for what others send through the interface:
    root of the host has PACKET_QDISC_BYPASS."""
    place = places("macvlan")
    place.set("closed")
    owner = ground.agent("router")
    frame = bytes(ether(place, type=0x88b5) / BODY).hex()
    place.fence()
    owner.send_frames(interface="p0", frames=[frame])
    assert not place.fence()
    owner.send_frames(interface="p0", frames=[frame], bypass=True)
    assert marked(place.fence())
    assert says(place, "PACKET_QDISC_BYPASS")


def marked(frames):
    return [frame for frame in frames if frame["marked"]]


def test_a_socket_of_another_cgroup_is_judged_there(places, ground):
    """Handed in by SCM_RIGHTS: not stopped, and Attach says so."""
    place = places("cgroup")
    place.set("closed")
    giver = ground.agent("router")
    path = str(ground.folder / "mailbox")
    giver.make(name="given")
    place.sender.expect(path=path)
    giver.give(name="given", path=path)
    place.sender.take(name="given")
    try:
        place.fence()
        assert place.sender.use(name="given", target=B[4], port=PORT) == \
            "sent"
        assert marked(place.fence())
        assert says(place, "a socket keeps the cgroup")
    finally:
        place.sender.close(name="given")


def test_a_socket_from_before_joining_is_judged_as_it_was_made(places, ground):
    place = places("cgroup")
    place.set("closed")
    joiner = ground.agent("router")
    joiner.make(name="old")
    (ground.world.cgroup("box") / "cgroup.procs").write_text(str(joiner.pid))
    place.fence()
    assert joiner.use(name="old", target=B[4], port=PORT) == "sent"
    assert marked(place.fence())
    assert says(place, "before a process was moved here")
    # One that it makes now is the cgroup's.
    joiner.make(name="new")
    assert joiner.use(name="new", target=B[4], port=PORT) == "EPERM"
    assert not marked(place.fence())


def test_a_socket_handed_out_stays_with_the_cgroup(places, ground):
    """The other way round nothing is lost."""
    place = places("cgroup")
    place.set("closed")
    outside = ground.agent("router")
    path = str(ground.folder / "outside")
    place.sender.make(name="ours")
    outside.expect(path=path)
    place.sender.give(name="ours", path=path)
    outside.take(name="ours")
    place.fence()
    assert outside.use(name="ours", target=B[4], port=PORT) == "EPERM"
    assert not place.fence()


@pytest.mark.parametrize("kind", ["bridge", "routed", "cgroup", "macvlan"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_from_before_sends_nothing_more(places, kind, family):
    """Also not in large segments that are cut up later."""
    place = places(kind)
    place.set("disabled")
    place.sender.open(name="kept", protocol="tcp", target=A[family], port=80)
    try:
        assert place.sender.exchange(name="kept") == "ok"
        place.fence()
        place.sender.push(name="kept", size=1 << 15)
        assert marked(place.fence())
        place.set("closed")
        place.fence()
        before = place.count()
        place.sender.push(name="kept", size=1 << 18)
        assert not [frame for frame in place.fence()]
        assert place.count()["no-rule"] > before.get("no-rule", 0)
    finally:
        place.sender.close(name="kept")


def test_fragments_of_two_tenants_are_kept_apart(places):
    """The same addresses, id and protocol: one tenant's allowed first fragment
    opens nothing for the other's later ones."""
    one, two = places("routed"), places("bridge")
    for place in (one, two):
        place.set("closed")
    head = TCP(sport=4001, dport=PORT, flags="S") / MAY
    what = {"number": 4711, "proto": 6}
    opening = first(one, head, cut=24, src="10.11.11.11", **what)
    rest = later(one, offset=24, body=MARK * 2, src="10.11.11.11", **what)

    two.fence()
    before = two.count()
    one.send_ip([opening])
    two.send_ip([rest])
    assert not marked(two.fence())
    assert two.count()["fragment"] == before.get("fragment", 0) + 1
    # Behind a first one of its own the same fragment passes.
    two.send_ip([opening, rest])
    assert marked(two.fence())
    one.fence()


def test_the_version_of_a_packet_is_what_the_kernel_says(places):
    """An IPv6 socket with IP_HDRINCL takes any bytes: those of an IPv4 packet
    that the policy allows must not leave as IPv6 to whomever."""
    place = places("cgroup")
    place.set("disabled")
    place.fence()
    place.sender.send_packet_to(device="a0", packet=bytes(good(place)).hex(),
                                target="fd54:2::2")
    assert marked(place.fence())
    place.set("closed")
    place.fence()
    before = place.count()
    place.sender.send_packet_to(device="a0", packet=bytes(good(place)).hex(),
                                target="fd54:2::2")
    assert not marked(place.fence())
    assert place.count()["parse"] == before.get("parse", 0) + 1


class HeadedTun(Tun):
    """With the protocol before each packet (struct tun_pi)."""

    name = "tun with headers"
    target = device = "t1"
    me4, me6 = "10.51.0.2", "fd51::2"
    how = {"headed": True}

    def send_ip(self, given):
        return self.send_as(given, [0x86dd if bytes(packet)[0] >> 4 == 6
                                    else 0x0800 for packet in given])

    def send_as(self, given, kinds):
        return self.sender.write_tun(name=self.target, packets=[
            (bytes(2) + kind.to_bytes(2, "big") + bytes(packet)).hex()
            for packet, kind in zip(given, kinds)])


class VirtualTun(Tun):
    """With a struct virtio_net_hdr before each packet."""

    name = "tun with large segments"
    target = device = "t2"
    me4, me6 = "10.52.0.2", "fd52::2"
    how = {"virtual": True}

    def send_ip(self, given):
        return self.send_large(given, bytes(10))

    def send_large(self, given, header):
        return self.sender.write_tun(name=self.target, packets=[
            (header + bytes(packet)).hex() for packet in given])


@pytest.mark.parametrize("family", [4, 6])
def test_large_segments_from_a_tun_device(ground, family):
    place = VirtualTun(ground)
    network = IP(src=place.me4, dst=A[4]) if family == 4 else \
        IPv6(src=place.me6, dst=A[6])
    size = 20 if family == 4 else 40
    large = network / TCP(sport=4000, dport=80, flags="A") / \
        Raw(MARK * 1000)
    header = struct.pack("=BBHHHH", 1, 1 if family == 4 else 4, size + 20,
                         1200, size, 16)
    try:
        place.set("disabled")
        place.fence()
        place.send_large([large], header)
        assert marked(place.fence())
        place.set("closed")
        place.fence()
        before = place.count()
        place.send_large([large], header)
        assert not place.fence()
        after = place.count()
        segments = -(-len(MARK * 1000) // 1200)
        assert segments > 1
        # Answers to a fence are made again, and dropped, every other second.
        more = {reason: count - before.get(reason, 0) for reason, count in
                after.items()}
        assert more["no-rule"] == segments
        assert more["blocked"] == segments + more.get("inbound", 0)
    finally:
        place.end()


def test_a_tun_device_cannot_call_a_packet_something_else(ground):
    place = HeadedTun(ground)
    place.set("closed")
    place.fence()
    kinds = [0x86dd, 0x8847, 0x8100, 0x8864, 0x88b5, 0x0806, 0x6558]
    place.send_as([good(place)] * len(kinds), kinds)
    assert not marked(place.fence())
    place.send_as([good(place)], [0x0800])
    assert marked(place.fence())
