# SPDX-License-Identifier: Apache-2.0
"""A resolver's sockets as sentinel-cp makes them, workloads that ask it, and
what the far end sees."""

import contextlib
import mmap
import os
import selectors
import socket
import struct
import threading

import dp_client as dp
from dp_host import ID, Host, in_namespace, sh

ATTACH_BPF = 50  # SO_ATTACH_BPF
PORT = 20053
OWN = {4: "198.18.0.1", 6: "fd53:6e74:6c64:1::1"}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
KINDS = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
NETDEV = dp.ROOT / "packaging/sentinel-netdev"
SILENT_S = 0.5
STEERED = dict(mode=dp.ALLOWLIST, dns=1)


def slot_address(family, slot):
    if family == 4:
        return socket.inet_ntoa(struct.pack("!I", 0xc6120100 + slot))
    return f"fd53:6e74:6c64:1::{0x100 + slot:x}"


class Resolver:
    """Answers `who asked|what was asked` until it is closed."""

    def __init__(self, namespace, program):
        self.selector = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ, "end")
        self.asked = []
        with in_namespace(namespace):
            for family in (4, 6):
                for kind in ("udp", "tcp"):
                    self.listen(family, kind, program)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def listen(self, family, kind, program):
        made = socket.socket(FAMILIES[family], KINDS[kind])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if program is not None:
            made.setsockopt(socket.SOL_SOCKET, ATTACH_BPF, program)
        made.bind((OWN[family], PORT))
        if kind == "tcp":
            made.listen(64)
        self.selector.register(made, selectors.EVENT_READ, kind)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data == "end":
                    return
                self.serve(key.fileobj, key.data)

    def serve(self, sock, kind):
        if kind == "tcp":
            made, _ = sock.accept()
            self.selector.register(made, selectors.EVENT_READ, "stream")
            return
        try:
            data, peer = sock.recvfrom(65536)
        except OSError:
            data = b""
        if kind == "stream":
            peer = sock.getpeername() if data else None
            if not data:
                self.selector.unregister(sock)
                sock.close()
                return
        self.asked.append((peer[0], data))
        answer = peer[0].encode() + b"|" + data
        if kind == "udp":
            sock.sendto(answer, peer)
        else:
            sock.sendall(answer)

    def close(self):
        self.wake.send(b"x")
        self.thread.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        self.wake.close()


def fds(peer):
    """Of FDS: counters, reasons, events, then the filters."""
    return peer.call("FDS", bytes(8)).fds


class DnsHost(Host):
    """A host with the resolver's interfaces; workloads have namespaces of
    their own."""

    def __init__(self, folder, options=()):
        super().__init__(folder)
        self.resolver = None
        self.namespaces = []
        sh("ip", "netns", "exec", self.name, "sh", "-c",
           "for f in all default; do echo 1"
           " >/proc/sys/net/ipv4/conf/$f/rp_filter; done")
        self.netdev("start", *options)

    def netdev(self, *words, check=True):
        return sh("nsenter", f"--net=/run/netns/{self.name}", str(NETDEV),
                  *words, check=check)

    def serve(self, peer):
        descriptors = fds(peer)
        assert len(descriptors) >= 4
        self.resolver = Resolver(self.name, descriptors[3])
        for fd in descriptors:
            os.close(fd)
        return self.resolver

    def add_workload(self, name, addresses):
        """A namespace behind the interface `name`, which routes everything to
        it; the interface itself has no address."""
        namespace = f"{self.name}{name}"
        self.namespaces.append(namespace)
        sh("ip", "netns", "add", namespace)
        self.ip("link", "add", name, "type", "veth", "peer", "name", "eth0",
                "netns", namespace)
        self.ip("link", "set", name, "addrgenmode", "none", "up")
        return self.configure(namespace, "eth0", addresses, self.mac(name))

    def mac(self, name):
        return self.ip("-br", "link", "show", name).stdout.split()[2]

    def configure(self, namespace, device, addresses, mac):
        inside = ["ip", "-n", namespace]
        sh(*inside, "link", "set", "lo", "up")
        sh(*inside, "link", "set", device, "addrgenmode", "none", "up")
        for address in addresses:
            six = ":" in address
            sh(*inside, "address", "add", address, "dev", device,
               *(["nodad"] if six else []))
            gateway = "fe80::1" if six else "10.255.255.254"
            sh(*inside, "route", "add", "default", "via", gateway, "dev",
               device, *([] if six else ["onlink"]))
            if mac:
                sh(*inside, "neighbour", "replace", gateway, "lladdr", mac,
                   "dev", device)
        return namespace

    def end(self):
        if self.resolver:
            self.resolver.close()
        for namespace in self.namespaces:
            sh("ip", "netns", "delete", namespace, check=False)
        super().end()


@contextlib.contextmanager
def client(namespace, family, kind, source=None):
    with in_namespace(namespace):
        made = socket.socket(FAMILIES[family], KINDS[kind])
    with made:
        made.settimeout(5)
        if source:
            made.bind(source)
        yield made


def ask(namespace, server, kind="udp", text=b"q", port=53, source=None,
        wait=5.0):
    """(the answer, from whom it came), or None."""
    family = 6 if ":" in server else 4
    with client(namespace, family, kind, source) as made:
        made.settimeout(wait)
        try:
            if kind == "udp":
                made.sendto(text, (server, port))
                answer, peer = made.recvfrom(65536)
            else:
                made.connect((server, port))
                made.sendall(text)
                answer, peer = made.recv(65536), made.getpeername()
        except (TimeoutError, OSError):
            return None
        return answer.decode(), peer[0], peer[1]


def answered(slot, server, text="q", port=53):
    family = 6 if ":" in server else 4
    return f"{slot_address(family, slot)}|{text}", server, port


REASONS = [line.split("(")[1].split(",")[0] for line in
           (dp.ROOT / "shared/reasons.def").read_text().splitlines()
           if line.startswith("SN_REASON(")]


def counts(peer, slot):
    """Of one slot: its reasons that are not zero, and its packets."""
    descriptors = fds(peer)
    try:
        with mmap.mmap(descriptors[1], 16 * 48 * 8,
                       prot=mmap.PROT_READ) as memory:
            row = struct.unpack_from("=48Q", memory, slot * 48 * 8)
        total = [sum(column) for column in zip(*counter_rows(descriptors[0],
                                                             slot))]
    finally:
        for fd in descriptors:
            os.close(fd)
    reasons = {name: n for name, n in zip(REASONS, row) if n}
    return reasons, dict(allowed=total[0:2], blocked=total[4:6])


def counter_rows(fd, slot):
    n_cpus = int(open("/sys/devices/system/cpu/possible",
                      encoding="ascii").read().strip().split("-")[-1]) + 1
    size = (16 * n_cpus * 64 + 4095) // 4096 * 4096
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as memory:
        return [struct.unpack_from("=8Q", memory, (slot * n_cpus + cpu) * 64)
                for cpu in range(n_cpus)]


def attach(host, peer, name, identity=ID, **policy):
    made = peer.attach(identity, ifindex=host.index(name))
    peer.flip(made["slot"], dp.policy(made["generation"] + 1,
                                      **(STEERED | policy)))
    return made["slot"]


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp_packet(source, server, port, text, summed=True, to=53):
    """An IP packet of one question; summed: with UDP's checksum."""
    family = 6 if ":" in server else 4
    ends = [socket.inet_pton(FAMILIES[family], end) for end in (source, server)]
    udp = struct.pack("!HHHH", port, to, 8 + len(text), 0) + text
    pseudo = b"".join(ends) + struct.pack("!HBB", len(udp), 0, 17)
    if summed:
        udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp)) + udp[8:]
    if family == 6:
        return struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + \
            b"".join(ends) + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0)
    total = checksum(head + b"".join(ends))
    return head[:10] + struct.pack("!H", total) + b"".join(ends) + udp


def read_udp(packet):
    """(source, its port, destination, its port, text) of a whole IP packet
    whose checksums hold; None for others."""
    six = packet[0] >> 4 == 6
    start, at, size = (40, 8, 16) if six else (20, 12, 4)
    if packet[6 if six else 9] != 17:
        return None
    family = socket.AF_INET6 if six else socket.AF_INET
    ends = [packet[at:at + size], packet[at + size:at + 2 * size]]
    udp = packet[start:]
    pseudo = b"".join(ends) + struct.pack("!HBB", len(udp), 0, 17)
    assert six or checksum(packet[:20]) == 0
    assert checksum(pseudo + udp) == 0
    source, destination, length, _ = struct.unpack_from("!HHHH", udp)
    assert length == len(udp)
    return (socket.inet_ntop(family, ends[0]), source,
            socket.inet_ntop(family, ends[1]), destination, udp[8:].decode())
