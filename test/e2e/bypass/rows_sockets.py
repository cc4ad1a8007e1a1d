# SPDX-License-Identifier: Apache-2.0
"""The bypass table, part 1: what a program does with sockets."""

from scapy.all import GRE, IP, TCP, UDP, IPv6

from place import PORT
from row import BODY, SOCKETS, call
from traffic import A, B

MAPPED = {"a": "::ffff:" + A[4], "b": "::ffff:" + B[4]}


def both(name, method, a=None, b=None, **more):
    """A row of each family; a, b: the port at the allowed and at another
    host, None for no attempt there."""
    return [call(f"{name}, {where}, IPv{family}", method,
                 target=host[family], port=port, **more)
            for where, host, port in (("allowed host", A, a),
                                      ("other host", B, b)) if port
            for family in (4, 6)]


def helper(name, what, port_a, port_b, **more):
    return [call(f"{name}, {where}, IPv{family}", "calls",
                 program=lambda place: place.ground.helper, what=what,
                 target=host[family], port=port, **more)
            for where, host, port in (("allowed host", A, port_a),
                                      ("other host", B, port_b)) if port
            for family in (4, 6)]


CONNECTIONS = [
    *both("TCP", "tcp", a=80, b=PORT, marked=False),
    *both("TCP bound to the device", "tcp", b=PORT, marked=False,
          device=lambda place: place.device, on=SOCKETS),
    *both("MSG_FASTOPEN", "tcp", a=80, b=PORT, fastopen="flag", marked=False),
    *both("TCP_FASTOPEN_CONNECT", "tcp", b=PORT, fastopen="option",
          marked=False),
    call("TCP, v4-mapped, other port", "tcp", target=MAPPED["a"], port=80,
         marked=False),
    call("TCP, v4-mapped, other host", "tcp", target=MAPPED["b"], port=PORT,
         marked=False),
    call("TCP, IP_TRANSPARENT", "tcp", target=B[4], port=PORT,
         source="10.99.9.9", marked=False),
    call("TCP, IP_TRANSPARENT, IPv6", "tcp", target=B[6], port=PORT,
         source="fd99::9", marked=False),
    call("TCP connect to an IPv4-compatible address", "tcp",
         target="::" + A[4], port=PORT, marked=False),
    call("TCP with a loose source route by IP_OPTIONS", "tcp", target=A[4],
         port=PORT, options="8307040a1e000100", reason="source-route",
         marked=False, carried=("bridge", "cgroup", "macvlan")),
]

DATAGRAMS = [
    *both("connected UDP", "udp", a=PORT, b=PORT, connected=True),
    *both("UDP sendto", "udp", a=PORT, b=PORT),
    *both("UDP sendto, another port", "udp", a=5300, b=5300),
    *both("UDP bound to the device", "udp", a=PORT,
          device=lambda place: place.device),
    call("UDP, v4-mapped, connected", "udp", target=MAPPED["a"], port=PORT,
         connected=True),
    call("UDP, v4-mapped, sendto", "udp", target=MAPPED["b"], port=PORT),
    call("UDP, IP_TRANSPARENT", "udp", target=A[4], port=PORT,
         source="10.99.9.9"),
    call("UDP, IP_TRANSPARENT, IPv6", "udp", target=A[6], port=PORT,
         source="fd99::9"),
    call("UDP, IP_OPTIONS of NOP", "udp", target=A[4], port=PORT,
         options="01010100"),
    call("UDP to a multicast group", "udp", target="239.1.2.3", port=PORT,
         on=("bridge", "cgroup", "macvlan"),
         device=lambda place: place.device),
    call("UDP broadcast", "udp", target="255.255.255.255", port=PORT,
         on=("bridge", "cgroup", "macvlan"),
         device=lambda place: place.device),
    *both("UDP-Lite", "udp", a=PORT, protocol=136),
    *both("UDP_SEGMENT", "udp", a=PORT, size=12000, segment=1200,
          connected=True),
    *both("UDP_SEGMENT, sendto", "udp", b=PORT, size=60000, segment=1400),
    *both("UDP in fragments", "udp", a=PORT, size=9000),
    call("UDP with MSG_ZEROCOPY", "udp", target=A[4], port=PORT, size=12000,
         segment=1200, zerocopy=True),
    call("UDP by sendfile", "udp", target=A[4], port=PORT, size=12000,
         segment=1200, connected=True, sendfile=True),
    *helper("sendmmsg", "sendmmsg", PORT, PORT),
]

RINGS = [
    *helper("io_uring connect", "connect", 80, PORT, marked=False),
    *helper("io_uring connect by a worker", "connect-async", 80, None,
            marked=False),
    *helper("io_uring sendmsg", "sendmsg", PORT, PORT),
    *helper("io_uring sendmsg by a worker", "sendmsg-async", PORT, None),
]


def raw(name, family, protocol, payload=BODY, host=A, **more):
    return call(f"{name}, IPv{family}", "raw", target=host[family],
                protocol=protocol, payload=bytes(payload).hex(), **more)


RAW = [
    *(call(f"ping socket, {where}, IPv{family}", "ping_socket",
           target=host[family])
      for where, host in (("allowed host", A), ("other host", B))
      for family in (4, 6)),
    # Echo requests need a check sum in IPv4 to be answered, not to arrive.
    *(raw(f"raw ICMP echo, {where}", family, 1 if family == 4 else 58,
          bytes([8 if family == 4 else 128]) + bytes(7) + bytes(BODY), host)
      for where, host in (("allowed host", A), ("other host", B))
      for family in (4, 6)),
    *(raw("raw TCP to another port", family, 6,
          TCP(sport=4000, dport=80) / BODY) for family in (4, 6)),
    *(raw("raw UDP to the TCP port", family, 17,
          UDP(sport=4000, dport=PORT) / BODY) for family in (4, 6)),
    *(raw(f"raw protocol {number}", family, number)
      for number in (2, 46, 89, 94, 97, 103, 112, 115, 137, 253, 254)
      for family in (4,)),
    *(raw(f"raw protocol {number}", 6, number) for number in (103, 112, 253)),
    # The ports of these are matched too: 443 of the rule is TCP's only.
    *(raw(what, family, number,
          bytes.fromhex("0fa001bb") + bytes(12) + bytes(BODY))
      for what, number in (("raw SCTP to the TCP port", 132),
                           ("raw DCCP to the TCP port", 33))
      for family in (4, 6)),
    *(raw("raw GRE", family, 47, GRE() / IP(dst=A[4]) / TCP(dport=PORT) / BODY)
      for family in (4, 6)),
    *(raw("raw IP in IP", family, 4, IP(dst=A[4]) / TCP(dport=PORT) / BODY)
      for family in (4, 6)),
    *(raw("raw IPv6 in IP", family, 41,
          IPv6(dst=A[6]) / TCP(dport=PORT) / BODY)
      for family in (4, 6)),
]

ROWS = CONNECTIONS + DATAGRAMS + RINGS + RAW
