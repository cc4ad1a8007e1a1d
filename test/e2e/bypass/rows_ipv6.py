# SPDX-License-Identifier: Apache-2.0
"""The bypass table, part 3: IPv6 packets that the attacker builds."""

import struct

from scapy.all import (GRE, IP, TCP, ICMPv6DestUnreach,
                       ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                       IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                       IPv6ExtHdrSegmentRouting, PadN, Raw)

from place import PORT
from row import BODY, MARK, MAY, PACKETS, WIRE, packets
from rows_ipv4 import FLAGS, ROUTED_TOO, tcp, udp
from traffic import A, B


def ip(place, dst=A[6], **more):
    return IPv6(**{"src": place.me6, "dst": dst, **more})


def chain(n, last=6):
    """n destination options headers; `last`: what the last one names."""
    data = b"".join(bytes([60 if i < n - 1 else last, 0, 1, 4]) + bytes(4)
                    for i in range(n))
    return Raw(data)


def raw6(place, next_header, *parts, dst=A[6]):
    return ip(place, dst, nh=next_header) / Raw(
        b"".join(part if isinstance(part, bytes) else bytes(part)
                 for part in parts))


SEGMENTS = [
    *(packets(f"{name} without a flow, {where}, IPv6",
              lambda p, f=flags, h=host, d=port: ip(p, h) / tcp(f, d))
      for name, flags in FLAGS.items()
      for where, host, port in (("other port", A[6], 80),)),
    packets("TCP to another host, IPv6", lambda p: ip(p, B[6]) /
            tcp(dport=PORT), on=ROUTED_TOO),
    packets("UDP to the TCP port, IPv6", lambda p: ip(p) / udp(),
            on=ROUTED_TOO),
    packets("ICMPv6 echo", lambda p: ip(p) / ICMPv6EchoRequest() / BODY,
            on=ROUTED_TOO),
    *(packets(f"ICMPv6 type {kind}", lambda p, k=kind: ip(p, nh=58) /
              Raw(bytes([k, 0, 0, 0]) + bytes(4)) / BODY)
      for kind in (0, 5, 129, 138, 139, 141, 144, 151, 200)),
    packets("ICMPv6 error that quotes nothing of ours", lambda p: ip(p) /
            ICMPv6DestUnreach() / IPv6(src=A[6], dst="fd77::7") /
            TCP(sport=PORT, dport=9) / BODY, reason="icmp-error",
            on=ROUTED_TOO),
    packets("ICMPv6 too big that quotes nothing", lambda p: ip(p) /
            ICMPv6PacketTooBig() / BODY, reason="icmp-error"),
    packets("ICMPv6 error that quotes an IPv4 flow", lambda p: ip(p) /
            ICMPv6DestUnreach() / IP(src=A[4], dst=p.me4) /
            TCP(sport=PORT, dport=p.fence_port) / BODY, reason="icmp-error"),
    packets("ICMP in IPv6", lambda p: ip(p, nh=1) / Raw(b"\x08" + bytes(7)) /
            BODY),
    *(packets(f"ICMPv6 error type {kind} about a live flow, to another host",
              lambda p, k=kind: [
                  ip(p) / TCP(sport=4100 + k, dport=PORT) / MAY,
                  ip(p, B[6], nh=58) / Raw(bytes([k, 0, 0, 0]) + bytes(4)) /
                  IPv6(src=A[6], dst=p.me6) /
                  TCP(sport=PORT, dport=4100 + k) / BODY],
              reason="icmp-error", may=True, on=ROUTED_TOO)
      for kind in (1, 2, 3, 4)),
    *(packets(f"protocol {number}, IPv6", lambda p, n=number:
              raw6(p, n, bytes(8), MARK))
      for number in (2, 4, 41, 47, 50, 59, 89, 99, 103, 253)),
    packets("SCTP to the TCP port, IPv6", lambda p: raw6(
        p, 132, struct.pack("!HHII", 4000, PORT, 0, 0), MARK)),
    packets("AH before TCP to the allowed port, IPv6", lambda p: raw6(
        p, 51, b"\x06\x01" + bytes(10), tcp(dport=PORT))),
    packets("mobility header before TCP to the allowed port", lambda p: raw6(
        p, 135, b"\x06\x00" + bytes(6), tcp(dport=PORT))),
    packets("HIP before TCP to the allowed port", lambda p: raw6(
        p, 139, b"\x06\x04" + bytes(38), tcp(dport=PORT))),
    *(packets(f"{name} to the allowed host, IPv6", lambda p, n=number,
              i=inner: ip(p, nh=n) / i(p) / tcp(dport=PORT))
      for name, number, inner in (
          ("GRE", 47, lambda p: GRE() / ip(p)),
          ("IP in IP", 4, lambda p: IP(src=p.me4, dst=A[4])),
          ("IPv6 in IP", 41, ip))),
    packets("VXLAN to the allowed host, IPv6", lambda p: ip(p) / udp(
        4789, Raw(bytes.fromhex("0800000000000500") + bytes(12) +
                  b"\x86\xdd") / ip(p) / tcp(dport=PORT))),
    packets("Geneve to the allowed host, IPv6", lambda p: ip(p) / udp(
        6081, Raw(bytes.fromhex("0000655800000500") + bytes(12) +
                  b"\x86\xdd") / ip(p) / tcp(dport=PORT))),
]


def padding(size=4):
    return PadN(optdata=bytes(size))


EXTENSIONS = [
    packets("hop-by-hop options", lambda p: ip(p) / IPv6ExtHdrHopByHop(
        options=[padding()]) / tcp(), on=ROUTED_TOO),
    packets("destination options", lambda p: ip(p) / IPv6ExtHdrDestOpt(
        options=[padding()]) / tcp(), on=ROUTED_TOO),
    packets("options of 256 bytes", lambda p: ip(p) / IPv6ExtHdrDestOpt(
        options=[padding(250)]) / udp()),
    packets("hop-by-hop and destination options", lambda p: ip(p) /
            IPv6ExtHdrHopByHop(options=[padding()]) /
            IPv6ExtHdrDestOpt(options=[padding()]) / udp()),
    packets("routing header that has been followed", lambda p: ip(p) /
            IPv6ExtHdrRouting(type=0, segleft=0, addresses=[B[6]]) / tcp()),
    *(packets(f"routing header type {kind} with a segment left, {where}",
              lambda p, k=kind, d=port: ip(p) / IPv6ExtHdrRouting(
                  type=k, segleft=1, addresses=[B[6]]) / tcp(dport=d),
              reason="source-route")
      for kind in (0, 2, 3, 253)
      for where, port in (("allowed port", PORT), ("other port", 80))),
    packets("segment routing header", lambda p: ip(p) /
            IPv6ExtHdrSegmentRouting(addresses=[B[6], A[6]], segleft=1,
                                     lastentry=1) / tcp(dport=PORT),
            reason="source-route", on=ROUTED_TOO),
    packets("routing header behind other headers", lambda p: ip(p) /
            IPv6ExtHdrDestOpt(options=[padding()]) / IPv6ExtHdrRouting(
                type=0, segleft=1, addresses=[B[6]]) / tcp(dport=PORT),
            reason="source-route"),
    packets("atomic fragment", lambda p: ip(p) / IPv6ExtHdrFragment(
        id=1, m=0, offset=0) / tcp(), on=ROUTED_TOO),
    packets("atomic fragment, UDP to another host", lambda p: ip(p, B[6]) /
            IPv6ExtHdrFragment(id=2) / udp()),
    *(packets(f"{n} headers to another port", lambda p, n=n: raw6(
        p, 60, chain(n), tcp())) for n in (2, 7, 8)),
    *(packets(f"{n} headers, beyond the bound", lambda p, n=n: raw6(
        p, 60, chain(n), tcp(dport=PORT)), reason="parse")
      for n in (9, 10, 40)),
    packets("8 headers and then no next header", lambda p: raw6(
        p, 60, chain(8, 59), MARK)),
    packets("hop-by-hop options in second place", lambda p: raw6(
        p, 60, chain(1, 0), chain(1, 6), tcp(dport=PORT)), reason="parse"),
    packets("hop-by-hop options twice", lambda p: raw6(
        p, 0, chain(1, 0), chain(1, 6), tcp(dport=PORT)), reason="parse",
        carried=("bridge", "cgroup")),
    packets("extension header longer than the packet", lambda p: raw6(
        p, 60, b"\x06\xff\x01\x04" + bytes(4), tcp(dport=PORT)),
        reason="parse"),
    packets("extension header cut off", lambda p: raw6(
        p, 60, b"\x06\x00\x01\x04"), reason="parse", marked=False),
    packets("extension header that ends with the packet", lambda p: raw6(
        p, 60, chain(1)), reason="parse", marked=False),
    packets("no next header", lambda p: raw6(p, 59, MARK)),
    packets("jumbo payload", lambda p: ip(p, nh=0, plen=0) / Raw(
        b"\x06\x00\xc2\x04\x00\x00\x00\x24") / tcp(dport=PORT),
        reason="parse", on=WIRE, carried=("bridge",)),
]


def piece(place, number, offset, next_header, body, more=1, dst=A[6], **head):
    return ip(place, dst, **head) / IPv6ExtHdrFragment(
        nh=next_header, offset=offset // 8, m=more, id=number) / Raw(body)


ALLOWED = bytes(TCP(sport=4001, dport=PORT, flags="S"))
OTHER = bytes(TCP(sport=4001, dport=80, flags="S") / BODY)
MAY_BE = bytes(MAY)

FRAGMENTS = [
    packets("first fragment alone, IPv6", lambda p: piece(
        p, 1, 0, 17, bytes(udp())), on=ROUTED_TOO),
    packets("datagram in fragments, IPv6", lambda p: [
        piece(p, 2, 0, 17, bytes(udp())), piece(p, 2, 16, 17, MARK, 0)],
        reason="fragment", on=ROUTED_TOO),
    packets("later fragment before any first, IPv6", lambda p: piece(
        p, 3, 800, 17, MARK, 0), reason="fragment", on=ROUTED_TOO),
    packets("later fragment whose body is an allowed header, IPv6",
            lambda p: piece(p, 4, 48, 6, ALLOWED + MARK, 0),
            reason="fragment"),
    packets("first fragment of 8 bytes of TCP, IPv6", lambda p: piece(
        p, 5, 0, 6, ALLOWED[:8]), reason="fragment-short", marked=False),
    packets("first fragment without its chain", lambda p: piece(
        p, 6, 0, 60, bytes(chain(1))), reason="fragment-short", marked=False),
    packets("first fragment that ends in its chain", lambda p: piece(
        p, 7, 0, 60, b"\x06\x03\x01\x04" + bytes(4) + MARK),
        reason="fragment-short"),
    packets("overlap of an allowed TCP header, IPv6", lambda p: [
        piece(p, 8, 0, 6, ALLOWED + MAY_BE[:4]),
        piece(p, 8, 8, 6, OTHER[8:], 0)], reason="fragment", may=True),
    packets("overlap behind an options header, IPv6", lambda p: [
        piece(p, 9, 0, 60, bytes(chain(1)) + ALLOWED + MAY_BE[:4]),
        piece(p, 9, 8, 60, OTHER, 0),
        piece(p, 9, 24, 60, OTHER[16:], 0)], reason="fragment", count=2,
        may=True),
    packets("second first fragment with another port, IPv6", lambda p: [
        piece(p, 10, 0, 6, ALLOWED + MAY_BE[:4]), piece(p, 10, 0, 6, OTHER)],
        may=True),
    packets("later fragment of another next header", lambda p: [
        piece(p, 11, 0, 6, ALLOWED + MAY_BE[:4]),
        piece(p, 11, 24, 17, MARK, 0)], reason="fragment", may=True),
    packets("later fragment to another host, IPv6", lambda p: [
        piece(p, 12, 0, 6, ALLOWED + MAY_BE[:4]),
        piece(p, 12, 24, 6, MARK, 0, dst=B[6])], reason="fragment", may=True),
    packets("fragment in a fragment", lambda p: ip(p) / IPv6ExtHdrFragment(
        nh=44, id=13, m=1) / IPv6ExtHdrFragment(nh=6, id=14, m=1) /
        tcp(dport=PORT), reason="parse"),
    packets("atomic fragment in a fragment", lambda p: ip(p) /
            IPv6ExtHdrFragment(nh=44, id=15, m=1) /
            IPv6ExtHdrFragment(nh=6, id=16) / tcp(dport=PORT),
            reason="parse"),
    packets("first fragment of an atomic one, other port", lambda p: ip(p) /
            IPv6ExtHdrFragment(nh=44, id=17) /
            IPv6ExtHdrFragment(nh=6, id=18, m=1) / tcp()),
    packets("fragment header cut off", lambda p: raw6(
        p, 44, b"\x06\x00\x00\x01"), reason="parse", marked=False),
    packets("neighbour solicitation as a fragment", lambda p: ip(
        p, hlim=255) / IPv6ExtHdrFragment(nh=58, id=19, m=1) /
        Raw(b"\x87\0\0\0" + bytes(20)) / BODY, reason="neighbour"),
]

ADDRESSES = [
    *(packets(f"{name}", lambda p, a=address, l4=make: ip(p, a) / l4,
              on=where, carried=carried, reason=reason)
      for what, address, where, carried, reason in (
          ("an IPv4-compatible address", "::" + A[4], PACKETS, PACKETS,
           "no-rule"),
          ("a NAT64 address", "64:ff9b::" + A[4], PACKETS, PACKETS,
           "no-rule"),
          ("a local NAT64 address", "64:ff9b:1::" + A[4], PACKETS, PACKETS,
           "no-rule"),
          ("a 6to4 address", "2002:a14:1::1", PACKETS, PACKETS, "no-rule"),
          ("a Teredo address", "2001:0:a14:1::f5eb:fffe", PACKETS, PACKETS,
           "no-rule"),
          ("an ISATAP address", "fd77::200:5efe:a14:1", PACKETS, PACKETS,
           "no-rule"),
          ("an IPv4-translated address", "::ffff:0:" + A[4], PACKETS, PACKETS,
           "no-rule"),
          ("a v4-mapped address", "::ffff:" + A[4], WIRE, ("bridge",),
           "address"),
          ("a link-local address", "fe80::a14:1", WIRE, ("bridge",),
           "no-rule"),
          ("all nodes", "ff02::1", WIRE, ("bridge",), "no-rule"),
          ("a global group", "ff0e::1:2", WIRE, ("bridge",), "no-rule"),
          ("the unspecified address", "::", WIRE, ("bridge",), "no-rule"),
          ("the loopback address", "::1", WIRE, ("bridge",), "no-rule"))
      for name, make in ((f"TCP to {what}", tcp(dport=PORT)),
                         (f"UDP to {what}", udp()))),
    packets("TCP from a v4-mapped address", lambda p: ip(
        p, src="::ffff:10.99.9.9") / tcp(dport=PORT), on=WIRE,
        carried=("bridge",), reason="address"),
    packets("TCP from a foreign address, IPv6, other port", lambda p: ip(
        p, src="fd99::9") / tcp(), on=ROUTED_TOO),
]

CUT = [
    *(packets(f"IPv6 header of {n} bytes", lambda p, n=n: Raw(bytes(
        ip(p) / tcp(dport=PORT))[:n]), on=("bridge",), reason="parse",
        marked=False) for n in (1, 20, 39)),
    packets("IPv6 without payload", lambda p: ip(p, nh=6), reason="parse",
            marked=False),
    *(packets(f"TCP header of {n} bytes, IPv6", lambda p, n=n: Raw(bytes(
        ip(p, plen=n) / tcp(dport=PORT))[:40 + n]), reason="parse",
        marked=False) for n in (2, 19)),
    *(packets(f"UDP header of {n} bytes, IPv6", lambda p, n=n: Raw(bytes(
        ip(p, plen=n, nh=17) / udp())[:40 + n]), reason="parse",
        marked=False) for n in (4, 7)),
    packets("ICMPv6 header of 6 bytes", lambda p: raw6(p, 58, b"\x80" +
            bytes(5)), reason="parse", marked=False),
    *(packets(f"TCP data offset {n}, IPv6", lambda p, n=n: ip(p) / tcp(
        dport=PORT, dataofs=n), reason="parse") for n in (0, 4, 15)),
    packets("payload length beyond the frame", lambda p: ip(p, plen=4000) /
            tcp(dport=PORT), reason="parse", on=WIRE, carried=("bridge",)),
    packets("payload length that cuts the TCP header", lambda p: ip(
        p, plen=13) / tcp(dport=PORT), reason="parse", on=WIRE,
        marked=False),
]

ROWS = SEGMENTS + EXTENSIONS + FRAGMENTS + ADDRESSES + CUT
