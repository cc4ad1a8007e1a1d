# SPDX-License-Identifier: Apache-2.0
"""The bypass table, part 2: IPv4 packets that the attacker builds."""

import struct

from scapy.all import (GRE, ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_NOP,
                       IPOption_RR, IPOption_SSRR, IPv6, Raw, fragment)

from place import PORT
from row import BODY, MARK, MAY, PACKETS, WIRE, packets
from traffic import A, B

ROUTED_TOO = ("bridge", "routed", "tun", "cgroup", "macvlan")
FLAGS = {"SYN": "S", "SYN+ACK": "SA", "ACK": "A", "RST": "R", "FIN": "F",
         "null": 0, "xmas": "FPU", "SYN+FIN": "SF", "all": 0xff}


def ip(place, dst=A[4], **more):
    return IP(**{"src": place.me4, "dst": dst, **more})


def tcp(flags="S", dport=80, body=BODY, **more):
    return TCP(**{"sport": 4000, "dport": dport, "flags": flags, **more}) / \
        body


def udp(dport=PORT, body=BODY, **more):
    return UDP(**{"sport": 4000, "dport": dport, **more}) / body


def bare(packet, total=None):
    """Bytes of a packet, its length field as it is or `total`."""
    data = bytearray(bytes(packet))
    if total is not None:
        data[2:4] = struct.pack("!H", total)
        data[10:12] = bytes(2)
        words = struct.unpack(f"!{(data[0] & 15) * 2}H",
                              bytes(data[:(data[0] & 15) * 4]))
        check = sum(words)
        check = (check & 0xffff) + (check >> 16)
        data[10:12] = struct.pack("!H", ~(check + (check >> 16)) & 0xffff)
    return Raw(bytes(data))


SEGMENTS = [
    *(packets(f"{name} without a flow, {where}",
              lambda p, f=flags, h=host, d=port: ip(p, h) / tcp(f, d),
              on=ROUTED_TOO)
      for name, flags in FLAGS.items()
      for where, host, port in (("other port", A[4], 80),
                                ("other host", B[4], PORT))),
    packets("TCP with the allowed port as source", lambda p: ip(p) / tcp(
        "A", 80, sport=PORT)),
    packets("TCP to port 0", lambda p: ip(p) / tcp("S", 0)),
    packets("UDP with the allowed ports turned round", lambda p: ip(p) / udp(
        4000, sport=PORT)),
    packets("UDP without check sum", lambda p: ip(p) / udp(chksum=0)),
    packets("UDP that states a length of 4", lambda p: ip(p) / udp(len=4)),
    packets("UDP that states a length of 9000",
            lambda p: ip(p) / udp(len=9000)),
]

CONTROL = [
    *(packets(f"ICMP type {kind}, {where}",
              lambda p, k=kind, h=host: ip(p, h) / ICMP(type=k) / BODY)
      for kind in (0, 4, 5, 8, 9, 10, 13, 15, 17, 40, 255)
      for where, host in (("allowed host", A[4]),)),
    packets("ICMP echo, other host", lambda p: ip(p, B[4]) / ICMP() / BODY),
    packets("ICMP error that quotes nothing of ours",
            lambda p: ip(p) / ICMP(type=3, code=3) /
            IP(src=A[4], dst="10.77.7.7") / TCP(sport=PORT, dport=9) / BODY,
            reason="icmp-error", on=ROUTED_TOO),
    packets("ICMP error that quotes nothing",
            lambda p: ip(p) / ICMP(type=11) / BODY, reason="icmp-error"),
    packets("ICMP error that quotes half a header",
            lambda p: ip(p) / ICMP(type=3, code=4) / bytes(ip(p))[:12] / BODY,
            reason="icmp-error"),
    *(packets(f"ICMP error type {kind} about a live flow, to another host",
              lambda p, k=kind: ip(p, B[4]) / ICMP(type=k, code=1) /
              IP(src=A[4], dst=p.me4) /
              TCP(sport=PORT, dport=p.fence_port) / BODY,
              reason="icmp-error", on=ROUTED_TOO)
      for kind in (3, 11, 12)),
    packets("ICMP error that quotes a later fragment of a live flow",
            lambda p: ip(p) / ICMP(type=3, code=1) /
            IP(src=A[4], dst=p.me4, frag=1) /
            TCP(sport=PORT, dport=p.fence_port) / BODY, reason="icmp-error"),
    packets("ICMP error that quotes a live flow as another sender",
            lambda p: ip(p, src="10.99.9.9") / ICMP(type=3, code=1) /
            IP(src=A[4], dst=p.me4) / TCP(sport=PORT, dport=p.fence_port) /
            BODY, reason="icmp-error"),
    packets("ICMPv6 in IPv4", lambda p: ip(p, proto=58) /
            Raw(bytes([128]) + bytes(7)) / BODY),
]

PROTOCOLS = [
    *(packets(f"protocol {number}",
              lambda p, n=number: ip(p, proto=n) / BODY)
      for number in (0, 43, 44, 50, 51, 59, 60, 99, 255)),
    packets("AH before TCP to the allowed port", lambda p: ip(p, proto=51) /
            Raw(b"\x06\x01" + bytes(10)) / tcp(dport=PORT)),
    packets("SCTP to the TCP port", lambda p: ip(p, proto=132) /
            Raw(struct.pack("!HHII", 4000, PORT, 0, 0)) / BODY,
            on=ROUTED_TOO),
    packets("DCCP to the TCP port", lambda p: ip(p, proto=33) /
            Raw(struct.pack("!HHBBHI", 4000, PORT, 3, 0, 0, 0)) / BODY),
    packets("UDP-Lite to the TCP port", lambda p: ip(p, proto=136) /
            Raw(struct.pack("!HHHH", 4000, PORT, 8, 0)) / BODY),
    packets("GRE with Ethernet inside", lambda p: ip(p, proto=47) /
            GRE(proto=0x6558) / Raw(bytes(12) + b"\x08\x00") / ip(p) /
            tcp(dport=PORT)),
    *(packets(f"{name} to the allowed host", lambda p, n=number, i=inner:
              ip(p, proto=n) / i(p) / tcp(dport=PORT), on=ROUTED_TOO)
      for name, number, inner in (
          ("GRE", 47, lambda p: GRE() / ip(p)), ("IP in IP", 4, ip),
          ("IPv6 in IP", 41, lambda p: IPv6(src=p.me6, dst=A[6])))),
    *(packets(f"{name} to the allowed host", lambda p, d=port, h=head: ip(p) /
              udp(d, Raw(bytes.fromhex(h) + bytes(12) + b"\x08\x00") / ip(p) /
                  tcp(dport=PORT)), on=ROUTED_TOO)
      for name, port, head in (
          ("VXLAN", 4789, "0800000000000500"),
          ("Geneve", 6081, "0000655800000500"),
          ("VXLAN-GPE", 4790, "0c00000100000500"),
          ("GTP-U", 2152, "30ff001000000005"))),
    packets("WireGuard to the allowed host", lambda p: ip(p) / udp(
        51820, Raw(b"\x01\0\0\0" + bytes(144)) / BODY)),
]

ADDRESSES = [
    *(packets(f"UDP to {name}", lambda p, a=address: ip(p, a) / udp(),
              on=where, carried=carried)
      for name, address, where, carried in (
          ("0.0.0.0", "0.0.0.0", WIRE, ("bridge",)),
          ("127.0.0.1", "127.0.0.1", WIRE, ("bridge",)),
          ("240.0.0.1", "240.0.0.1", WIRE, ("bridge",)),
          ("everybody", "255.255.255.255", WIRE, ("bridge",)),
          ("all hosts", "224.0.0.1", WIRE, ("bridge",)),
          ("the router", "10.254.1.2", PACKETS, PACKETS))),
    *(packets(f"{name} from {what}", lambda p, s=source, l4=make:
              ip(p, src=s) / l4(), on=ROUTED_TOO,
              carried=("bridge", "routed", "cgroup", "macvlan")
              if source == A[4] else None)
      for what, source in (("a foreign address", "10.99.9.9"),
                           ("the allowed host's address", A[4]))
      for name, make in (("TCP to another port", tcp), ("UDP", udp))),
    packets("TCP from a foreign address to another host",
            lambda p: ip(p, B[4], src="10.99.9.9") / tcp(dport=PORT)),
]


def options(place, *given, **more):
    return ip(place, options=list(given), **more)


def with_options(place, data, layer):
    """Options as bytes, as they stand."""
    data += bytes(-len(data) % 4)
    header = bytearray(bytes(IP(src=place.me4, dst=A[4],
                                proto=6 if TCP in layer else 17)))
    header[0] = 0x40 | (5 + len(data) // 4)
    return bare(Raw(bytes(header) + data + bytes(layer)),
                len(header) + len(data) + len(bytes(layer)))


HOP = IPOption_LSRR(routers=[B[4]])
STRICT = IPOption_SSRR(routers=[B[4]])
NOT_TUN = ("bridge", "cgroup", "macvlan")

OPTIONS = [
    packets("option NOP", lambda p: options(p, *[IPOption_NOP()] * 40) /
            tcp()),
    packets("option RR", lambda p: options(p, IPOption_RR(
        routers=["0.0.0.0"] * 3)) / tcp()),
    packets("option router alert", lambda p: with_options(
        p, b"\x94\x04\0\0", tcp())),
    packets("option time stamp", lambda p: with_options(
        p, b"\x44\x0c\x05\0" + bytes(8), tcp())),
    packets("option CIPSO", lambda p: with_options(
        p, b"\x86\x06\0\0\0\x01", tcp()), carried=("bridge", "cgroup")),
    *(packets(f"{name}, {where}", lambda p, o=option, d=port: options(p, o) /
              tcp(dport=d), reason="source-route", on=ROUTED_TOO,
              carried=NOT_TUN)
      for name, option in (("option LSRR", HOP), ("option SSRR", STRICT))
      for where, port in (("allowed port", PORT), ("other port", 80))),
    packets("option LSRR by way of the allowed host", lambda p: options(
        p, IPOption_LSRR(routers=[B[4]], pointer=4)) / udp(),
        reason="source-route", carried=NOT_TUN),
    packets("option LSRR behind 33 NOPs", lambda p: with_options(
        p, b"\x01" * 33 + b"\x83\x07\x04" + bytes([10, 30, 0, 1]),
        tcp(dport=PORT)), reason="source-route", carried=NOT_TUN),
    packets("option LSRR behind another option", lambda p: with_options(
        p, b"\x44\x08\x05\0" + bytes(4) + b"\x83\x07\x04" +
        bytes([10, 30, 0, 1]), tcp(dport=PORT)), reason="source-route",
        carried=NOT_TUN),
    packets("option LSRR that has been followed", lambda p: with_options(
        p, b"\x83\x07\x08" + bytes([10, 30, 0, 1]), tcp(dport=PORT)),
        reason="source-route", carried=NOT_TUN),
    *(packets(f"option of length {length}", lambda p, n=length: with_options(
        p, bytes([7, n, 4, 0]), tcp(dport=PORT)), reason="parse",
        carried=NOT_TUN)
      for length in (0, 1, 5, 40, 255)),
    packets("option type alone at the end", lambda p: with_options(
        p, b"\x01\x01\x01\x07", tcp(dport=PORT)), reason="parse",
        carried=NOT_TUN),
]

CUT = [
    *(packets(f"IPv4 header of {n} bytes", lambda p, n=n: Raw(bytes(
        ip(p) / tcp(dport=PORT))[:n]), on=FRAMES_AND_TUN, reason="parse",
        carried=("bridge",), marked=False)
      for n, FRAMES_AND_TUN in ((1, ("bridge",)), (10, ("bridge",)),
                                (19, ("bridge",)))),
    packets("IPv4 without payload", lambda p: ip(p, proto=6), reason="parse",
            marked=False),
    *(packets(f"TCP header of {n} bytes", lambda p, n=n: Raw(bytes(
        ip(p, len=20 + n) / tcp(dport=PORT))[:20 + n]), reason="parse",
        on=ROUTED_TOO, marked=False)
      for n in (2, 4, 8, 13, 19)),
    *(packets(f"UDP header of {n} bytes", lambda p, n=n: Raw(bytes(
        ip(p, len=20 + n) / udp())[:20 + n]), reason="parse", marked=False)
      for n in (2, 7)),
    *(packets(f"ICMP header of {n} bytes", lambda p, n=n: Raw(bytes(
        ip(p, len=20 + n) / ICMP())[:20 + n]), reason="parse", marked=False)
      for n in (1, 7)),
    *(packets(f"TCP data offset {n}", lambda p, n=n: ip(p) / tcp(
        dport=PORT, dataofs=n), reason="parse", on=ROUTED_TOO)
      for n in (0, 4, 15)),
    packets("IPv4 header length 4", lambda p: ip(p, ihl=4) / tcp(dport=PORT),
            reason="parse", on=WIRE, carried=("bridge",)),
    packets("IPv4 header length beyond the packet", lambda p: Raw(bytes(
        ip(p, ihl=15, len=40) / tcp(dport=PORT))[:40]), reason="parse",
        on=WIRE, carried=("bridge",), marked=False),
    packets("total length beyond the frame", lambda p: ip(p, len=2000) /
            tcp(dport=PORT), reason="parse", on=WIRE, carried=("bridge",)),
    packets("total length of 0", lambda p: ip(p, len=0) / tcp(dport=PORT),
            reason="parse", on=WIRE, carried=("bridge",)),
    packets("total length under the header", lambda p: ip(p, len=19) /
            tcp(dport=PORT), reason="parse", on=WIRE, carried=("bridge",)),
    packets("total length that cuts the TCP header", lambda p: ip(p, len=33) /
            tcp(dport=PORT), reason="parse", on=WIRE, marked=False),
    packets("IP version 5", lambda p: ip(p, version=5) / tcp(dport=PORT),
            reason="parse", on=("bridge",)),
]


def first(place, layer, number, proto, cut, **more):
    """A first fragment: `cut` bytes of a transport packet."""
    return ip(place, flags="MF", id=number, proto=proto, **more) / \
        Raw(bytes(layer)[:cut])


def later(place, number, proto, offset, body, flags=0, **more):
    return ip(place, frag=offset // 8, id=number, proto=proto, flags=flags,
              **more) / Raw(body)


def laid(layer):
    """Bytes of a transport packet without a body."""
    return bytes(layer)


ALLOWED = TCP(sport=4001, dport=PORT, flags="S") / MAY  # 28 bytes
OTHER = TCP(sport=4001, dport=80, flags="S") / BODY

FRAGMENTS = [
    packets("first fragment alone, UDP", lambda p: first(
        p, udp(), 900, 17, 16), on=ROUTED_TOO),
    packets("first fragment alone, TCP", lambda p: first(
        p, tcp(), 901, 6, 24), marked=False),
    packets("datagram in fragments", lambda p: fragment(
        ip(p, id=902) / udp(body=Raw(MARK * 300)), 800), count=3,
        reason="fragment", on=ROUTED_TOO),
    packets("later fragment before any first", lambda p: later(
        p, 903, 17, 800, MARK * 4), reason="fragment", on=ROUTED_TOO),
    packets("later fragment whose body is an allowed header", lambda p: later(
        p, 904, 6, 48, laid(TCP(sport=4001, dport=PORT) / BODY)),
        reason="fragment"),
    packets("later fragment at the end of the offset's range", lambda p: later(
        p, 905, 17, 65528, MARK * 4), reason="fragment",
        carried=("bridge", "cgroup", "tun")),
    packets("first fragment of 8 bytes of TCP", lambda p: first(
        p, TCP(sport=4000, dport=PORT), 906, 6, 8), marked=False,
        reason="fragment-short", on=ROUTED_TOO),
    packets("first fragment of 16 bytes of TCP", lambda p: first(
        p, TCP(sport=4000, dport=PORT), 907, 6, 16), marked=False,
        reason="fragment-short"),
    packets("first fragment that cuts the TCP options", lambda p: first(
        p, TCP(sport=4000, dport=PORT, options=[("MSS", 1)] * 4), 908, 6, 24),
        marked=False, reason="fragment-short"),
    packets("first fragment without payload", lambda p: first(
        p, tcp(), 909, 6, 0), marked=False, reason="fragment-short"),
    packets("overlap at 8 bytes of an allowed TCP header", lambda p: [
        first(p, ALLOWED, 910, 6, 24),
        later(p, 910, 6, 8, laid(OTHER)[8:])],
        reason="fragment", may=True, on=ROUTED_TOO),
    packets("overlap at 16 bytes of an allowed TCP header", lambda p: [
        first(p, ALLOWED, 911, 6, 24),
        later(p, 911, 6, 16, laid(OTHER)[16:])], reason="fragment", may=True),
    packets("overlap of the options of an allowed TCP header", lambda p: [
        first(p, TCP(sport=4001, dport=PORT, options=[("MSS", 1)] * 2) / MAY,
              912, 6, 32), later(p, 912, 6, 24, MARK)],
        reason="fragment", may=True),
    packets("second first fragment with another port", lambda p: [
        first(p, ALLOWED, 913, 6, 24), first(p, OTHER, 913, 6, 28)],
        may=True),
    packets("later fragment of another protocol", lambda p: [
        first(p, ALLOWED, 914, 6, 24), later(p, 914, 17, 24, MARK * 2)],
        reason="fragment", may=True),
    packets("later fragment to another host", lambda p: [
        first(p, ALLOWED, 915, 6, 24),
        later(p, 915, 6, 24, MARK * 2, dst=B[4])],
        reason="fragment", may=True, on=ROUTED_TOO),
    packets("later fragment from another address", lambda p: [
        first(p, ALLOWED, 916, 6, 24),
        later(p, 916, 6, 24, MARK * 2, src="10.99.9.9")],
        reason="fragment", may=True),
    packets("later fragment of another id", lambda p: [
        first(p, ALLOWED, 917, 6, 24), later(p, 918, 6, 24, MARK * 2)],
        reason="fragment", may=True),
    packets("later fragment after a denied first", lambda p: [
        first(p, OTHER, 919, 6, 24), later(p, 919, 6, 24, MARK * 2)],
        reason="fragment"),
    packets("fragment of GRE", lambda p: later(p, 920, 47, 24, MARK * 2),
            reason="fragment"),
    packets("first fragment of ICMP", lambda p: first(
        p, ICMP() / BODY, 921, 1, 16)),
    packets("first fragment of an ICMP error about a live flow, other host",
            lambda p: first(p, ICMP(type=3) / IP(src=A[4], dst=p.me4) /
                            TCP(sport=PORT, dport=p.fence_port) / BODY,
                            922, 1, 56, dst=B[4]), reason="icmp-error"),
    packets("fragments behind an ICMP error about a live flow", lambda p: [
        first(p, ICMP(type=3, code=1) / IP(src=A[4], dst=p.me4) /
              TCP(sport=PORT, dport=p.fence_port), 923, 1, 48),
        later(p, 923, 1, 48, MARK * 4)], reason="fragment", may=True),
    packets("reserved bit of the flags", lambda p: ip(p, flags="evil") /
            udp()),
    packets("first fragment with a source route", lambda p: ip(
        p, options=[HOP], flags="MF", id=924) / tcp(dport=PORT),
        reason="source-route", carried=NOT_TUN),
]

ROWS = (SEGMENTS + CONTROL + PROTOCOLS + ADDRESSES + OPTIONS + CUT +
        FRAGMENTS)
