# SPDX-License-Identifier: Apache-2.0
"""The bypass table, part 4: whole frames, and what the hosts of a link say to
one another. Arriving here means: at another port of the same bridge."""

import struct

from scapy.all import (ARP, BOOTP, DHCP, GRE, IP, TCP, UDP, DHCP6_Reply,
                       Dot1Q, Ether, ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS,
                       ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6ND_RS,
                       ICMPv6NDOptSrcLLAddr, IPv6, IPv6ExtHdrFragment,
                       IPv6ExtHdrHopByHop, PPPoE, PPPoED, Raw, RouterAlert)

from place import PORT
from row import BODY, FRAMES, MARK, frames, packets
from rows_ipv4 import tcp, udp
from traffic import A, B


OTHER = "02:00:00:00:00:99"
ALL = "ff:ff:ff:ff:ff:ff"
BOTH = ("bridge", "macvlan")
LABEL = Raw(bytes.fromhex("00010140"))  # MPLS label 16, bottom of stack



def ether(place, **more):
    return Ether(**{"src": place.mac, "dst": place.mac_far, **more})


def good(place):
    """What would pass, were it not wrapped."""
    return IP(src=place.me4, dst=A[4]) / tcp(dport=PORT)


def good6(place):
    return IPv6(src=place.me6, dst=A[6]) / tcp(dport=PORT)


def bad(place):
    return IP(src=place.me4, dst=A[4]) / tcp()


TYPES = [
    *(frames(f"EtherType {kind:#06x}", lambda p, k=kind: ether(p, type=k) /
             BODY, reason="ethertype", on=BOTH)
      for kind in (0x88b5, 0x88b6, 0x88cc, 0x888e, 0x88f7, 0x8035, 0x22f0,
                   0x6003, 0xffff, 0x0600)),
    frames("allowed packet under EtherType 0x88b5", lambda p:
           ether(p, type=0x88b5) / good(p), reason="ethertype"),
    frames("LLC", lambda p: ether(p, type=11) / Raw(b"\xe0\xe0\x03") / BODY,
           reason="ethertype", on=BOTH),
    frames("LLC to everybody", lambda p: ether(p, type=11, dst=ALL) /
           Raw(b"\x42\x42\x03") / BODY, reason="ethertype"),
    frames("SNAP with IP inside", lambda p: ether(p, type=48) /
           Raw(b"\xaa\xaa\x03\0\0\0\x08\x00") / good(p), reason="ethertype"),
    frames("RARP", lambda p: ether(p, type=0x8035) / ARP(op=3, hwsrc=p.mac) /
           BODY, reason="ethertype"),
    frames("IPv6 under the EtherType of IPv4", lambda p:
           ether(p, type=0x0800) / good6(p), reason="parse"),
    frames("IPv4 under the EtherType of IPv6", lambda p:
           ether(p, type=0x86dd) / good(p), reason="parse"),
    frames("frame without a network header", lambda p: ether(p, type=0x0800),
           reason="parse", marked=False),
]

TAGS = [
    frames("VLAN tag, other port", lambda p: ether(p) / Dot1Q(vlan=5) /
           bad(p)),
    frames("priority tag, other port", lambda p: ether(p) /
           Dot1Q(vlan=0, prio=7) / bad(p)),
    frames("VLAN tag, UDP, IPv6", lambda p: ether(p) / Dot1Q(vlan=5) /
           IPv6(src=p.me6, dst=A[6]) / udp()),
    frames("802.1ad tag, other port", lambda p: ether(p, type=0x88a8) /
           Dot1Q(vlan=5) / bad(p)),
    frames("VLAN tag, other EtherType", lambda p: ether(p) /
           Dot1Q(vlan=5, type=0x88b5) / BODY, reason="ethertype"),
    *(frames(f"two tags, {outer:#06x} and {inner:#06x}", lambda p, o=outer,
             i=inner: ether(p, type=o) / Dot1Q(vlan=5, type=i) /
             Dot1Q(vlan=6) / good(p), reason="encapsulated")
      for outer, inner in ((0x8100, 0x8100), (0x88a8, 0x8100),
                           (0x88a8, 0x88a8), (0x8100, 0x9100))),
    frames("tag 0x9100", lambda p: ether(p, type=0x9100) / Dot1Q(vlan=5) /
           good(p), reason="encapsulated"),
    frames("three tags", lambda p: ether(p) / Dot1Q(vlan=5) / Dot1Q(vlan=6) /
           Dot1Q(vlan=7) / good(p), reason="encapsulated"),
    frames("PPPoE session", lambda p: ether(p, type=0x8864) /
           PPPoE(sessionid=1) / Raw(b"\x00\x21") / good(p),
           reason="encapsulated"),
    frames("PPPoE discovery", lambda p: ether(p, type=0x8863, dst=ALL) /
           PPPoED(code=9) / BODY, reason="encapsulated"),
    frames("MPLS", lambda p: ether(p, type=0x8847) / LABEL /
           good(p), reason="encapsulated", on=BOTH),
    frames("MPLS multicast", lambda p: ether(p, type=0x8848) /
           LABEL / good(p), reason="encapsulated"),
    frames("VLAN tag and MPLS", lambda p: ether(p) /
           Dot1Q(vlan=5, type=0x8847) / LABEL / good(p),
           reason="encapsulated"),
]

SENDERS = [
    frames("foreign MAC, TCP to another port", lambda p:
           ether(p, src=OTHER) / bad(p)),
    frames("foreign MAC and address, UDP", lambda p: ether(p, src=OTHER) /
           IP(src="10.99.9.9", dst=A[4]) / udp()),
    frames("frame to everybody, TCP to another port", lambda p:
           ether(p, dst=ALL) / bad(p)),
    frames("PACKET_QDISC_BYPASS, TCP to another port", lambda p:
           ether(p) / bad(p), how={"bypass": True}, on=BOTH),
    frames("PACKET_QDISC_BYPASS, other EtherType", lambda p:
           ether(p, type=0x88b5) / BODY, how={"bypass": True}, on=BOTH,
           reason="ethertype"),
    frames("AF_PACKET, SCTP", lambda p: ether(p) /
           IP(src=p.me4, dst=A[4], proto=132) /
           Raw(struct.pack("!HHII", 4000, PORT, 0, 0)) / BODY, on=BOTH),
]


def virtual(flags, gso, header, size, start=0, offset=0):
    """struct virtio_net_hdr; gso 1: TCP over IPv4, 4: IPv6, 5: UDP."""
    return Raw(struct.pack("=BBHHHH", flags, gso, header, size, start, offset))


LONG = Raw(MARK * 1000)
GSO = {"how": {"virtual": True}, "on": BOTH}

LARGE = [
    frames("GSO of TCP to another port", lambda p: virtual(
        1, 1, 54, 1400, 34, 16) / ether(p) / IP(src=p.me4, dst=A[4]) /
        tcp("A", body=LONG), **GSO),
    frames("GSO of TCP to another port, IPv6", lambda p: virtual(
        1, 4, 74, 1400, 54, 16) / ether(p) / IPv6(src=p.me6, dst=A[6]) /
        tcp("A", body=LONG), **GSO),
    frames("GSO of UDP", lambda p: virtual(1, 5, 42, 1400, 34, 6) / ether(p) /
           IP(src=p.me4, dst=A[4]) / udp(body=LONG), **GSO),
    frames("GSO with a total length of 0", lambda p: virtual(
        1, 1, 54, 1400, 34, 16) / ether(p) /
        IP(src=p.me4, dst=A[4], len=0) / tcp("A", body=LONG), **GSO,
        carried=()),
    frames("GSO with a total length of 40", lambda p: virtual(
        1, 1, 54, 1400, 34, 16) / ether(p) /
        IP(src=p.me4, dst=A[4], len=40) / tcp("A", body=LONG), **GSO),
    frames("GSO of GRE to the allowed host", lambda p: ether(p) /
           IP(src=p.me4, dst=A[4]) / GRE() / IP(dst=A[4]) /
           TCP(dport=PORT) / Raw(MARK * 100)),
]


def arp(place, **more):
    return ARP(**{"op": 2, "hwsrc": place.mac, "psrc": place.me4,
                  "hwdst": place.mac_far, "pdst": A[4], **more})


def nd(place, **more):
    return IPv6(**{"src": place.me6, "dst": "ff02::1:ff00:1", "hlim": 255,
                   **more})


def option(place, n=1):
    data = ICMPv6NDOptSrcLLAddr(lladdr=place.mac)
    for _ in range(n - 1):
        data = data / Raw(MARK)
    return data


NEIGHBOURS = [
    frames("ARP with a long payload", lambda p: ether(p, dst=ALL) / arp(p) /
           Raw(MARK * 60), reason="arp", on=BOTH),
    frames("ARP, one byte too long", lambda p: ether(p) / arp(p) /
           Raw(MARK + bytes(15)), reason="arp"),
    frames("ARP with another sender", lambda p: ether(p) / arp(
        p, hwsrc=OTHER) / BODY, reason="arp", on=BOTH),
    frames("ARP from a foreign MAC", lambda p: ether(p, src=OTHER) / arp(p) /
           BODY, reason="arp"),
    frames("ARP, cut off", lambda p: ether(p, type=0x0806) /
           Raw(bytes(arp(p))[:27]), reason="parse", marked=False),
    frames("solicitation with a long payload", lambda p: ether(p) / nd(p) /
           ICMPv6ND_NS(tgt="fd40::1") / option(p, 4), reason="neighbour"),
    frames("advertisement with a long payload", lambda p: ether(p) / nd(p) /
           ICMPv6ND_NA(tgt=p.me6) / Raw(MARK * 100), reason="neighbour"),
    frames("advertisement with hop limit 64", lambda p: ether(p) / nd(
        p, hlim=64) / ICMPv6ND_NA(tgt=p.me6) / BODY, reason="neighbour"),
    frames("solicitation to another host, long", lambda p: ether(p) / nd(
        p, dst=B[6]) / ICMPv6ND_NS(tgt=B[6]) / Raw(MARK * 10),
        reason="neighbour"),
    frames("router advertisement", lambda p: ether(p) / nd(
        p, dst="ff02::1") / ICMPv6ND_RA() / BODY, reason="neighbour",
        on=("bridge",)),
    frames("router solicitation with a long payload", lambda p: ether(p) / nd(
        p, dst="ff02::2") / ICMPv6ND_RS() / Raw(MARK * 20),
        reason="neighbour"),
    frames("ICMPv6 redirect", lambda p: ether(p) / nd(p, dst=A[6]) /
           ICMPv6ND_Redirect(tgt=p.me6, dst=B[6]) / BODY, reason="neighbour",
           on=BOTH),
    frames("MLD report with a long payload", lambda p: ether(p) / nd(
        p, dst="ff02::16", hlim=1) / IPv6ExtHdrHopByHop(
            options=RouterAlert()) / ICMPv6MLReport2() / Raw(MARK * 70),
        reason="neighbour"),
    frames("MLD report to another host", lambda p: ether(p) / nd(
        p, dst=B[6], hlim=1) / ICMPv6MLReport2() / BODY, reason="neighbour"),
    frames("MLD report with hop limit 64", lambda p: ether(p) / nd(
        p, dst="ff02::16", hlim=64) / ICMPv6MLReport2() / BODY,
        reason="neighbour"),
    frames("solicitation in fragments", lambda p: ether(p) / nd(p) /
           IPv6ExtHdrFragment(nh=58, id=5, m=1) /
           Raw(b"\x87\0\0\0" + bytes(20)) / BODY, reason="neighbour"),
]


def boot(kind):
    return BOOTP(op=2) / DHCP(options=[("message-type", kind), "end"]) / BODY


LEASES = [
    *(frames(f"DHCP {kind} from the workload, {where}", lambda p, k=kind,
             d=dst: ether(p, dst=ALL) / IP(src=p.me4, dst=d) /
             UDP(sport=67, dport=68) / boot(k), reason="dhcp")
      for kind in ("offer", "ack")
      for where, dst in (("everybody", "255.255.255.255"),
                         ("allowed host", A[4]))),
    frames("DHCPv6 reply from the workload", lambda p: ether(p) /
           IPv6(src=p.me6, dst="ff02::1:2") / UDP(sport=547, dport=546) /
           DHCP6_Reply() / BODY, reason="dhcp"),
    frames("DHCP discovery to one host", lambda p: ether(p) /
           IP(src=p.me4, dst=B[4]) / UDP(sport=68, dport=67) / boot(1)),
    frames("DHCP discovery to a network's broadcast", lambda p:
           ether(p, dst=ALL) / IP(src=p.me4, dst="10.40.0.255") /
           UDP(sport=68, dport=67) / boot(1)),
    frames("DHCPv6 solicitation to one host", lambda p: ether(p) /
           IPv6(src=p.me6, dst=B[6]) / UDP(sport=546, dport=547) / BODY),
    frames("DHCP discovery in a later fragment", lambda p: ether(p) /
           IP(src=p.me4, dst="255.255.255.255", frag=10, id=77, proto=17) /
           BODY, reason="fragment"),
]

CREDENTIALS = [
    *(packets(f"metadata address {address}, {policy} policy, {name}",
              lambda p, a=address, l=layer: (
                  IPv6(src=p.me6, dst=a) if ":" in a else
                  IP(src=p.me4, dst=a)) / l(dport=80),
              reason="metadata", policy=policy,
              on=("bridge", "cgroup", "tun")
              if not address.startswith("fe80") else FRAMES)
      for policy in ("closed", "open")
      for address in ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254",
                      "fe80::a9fe:a9fe", "169.254.170.2", "169.254.170.23",
                      "100.100.100.200", "fd00:ec2::23",
                      "64:ff9b::a9fe:a9fe")
      for name, layer in (("TCP", lambda dport: tcp(dport=dport)),
                          ("UDP", udp))),
]

ROWS = TYPES + TAGS + SENDERS + LARGE + NEIGHBOURS + LEASES + CREDENTIALS
