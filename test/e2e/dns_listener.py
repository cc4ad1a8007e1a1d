# SPDX-License-Identifier: Apache-2.0
"""A resolver's listeners for tests of sentinel-dp alone: wildcard UDP and TCP
sockets of both families on the loopback device under sentinel-dp's filter. They
answer with the bytes that came, and note whose address each query came to."""

import ipaddress
import mmap
import os
import re
import selectors
import socket
import struct
import threading

import dp_client as dp
from dp_host import in_namespace

SO_ATTACH_BPF, SO_LOCK_FILTER, IP_PKTINFO, IPV6_FREEBIND = 50, 44, 8, 78
PORT = 20054
LOOPBACK6 = ipaddress.ip_network("fd53:6e74:6c64:2::/64")
REASONS = re.findall(r"^SN_REASON\((\w+)",
                     (dp.ROOT / "shared/reasons.def").read_text(), re.M)
FILTERS = re.findall(r"^SN_PROGRAM\(\w+, (\w+), \w+, SOCKET_FILTER",
                     (dp.ROOT / "shared/programs.def").read_text(), re.M)
N_TABLES = 3  # fds that come before the filters
REASON_SLOTS = 48


class Fds:
    """What FDS hands out."""

    def __init__(self, peer):
        self.fds = peer.call("FDS", bytes(8)).fds

    def close(self):
        for fd in self.fds:
            os.close(fd)

    def filter(self, function="sn_dns_filter_cgroup"):
        return self.fds[N_TABLES + FILTERS.index(function)]

    def reason(self, slot, name):
        width = 8 * REASON_SLOTS
        with mmap.mmap(self.fds[1], 16 * width, mmap.MAP_SHARED,
                       mmap.PROT_READ) as table:
            return struct.unpack_from("=Q", table, slot * width + 8 *
                                      REASONS.index(name))[0]


def slot_of(address):
    """The slot whose resolver an address is."""
    if ":" not in address:
        number = int(ipaddress.IPv4Address(address))
        assert number >> 20 == 0x7f1
        return number & 0xffff
    assert ipaddress.ip_address(address) in LOOPBACK6
    return int(ipaddress.ip_address(address)) & 0xffffffff


class Listener:
    """answer: from a query's bytes to the answer's, None for none."""

    def __init__(self, name, filter_fd, answer=lambda query: query):
        self.answer = answer
        self.seen = []  # (protocol, slot, bytes)
        self.accepted = []
        self.ends = True  # a connection that its client has ended
        self.port = PORT
        self.chooser = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()
        self.chooser.register(self.woken, selectors.EVENT_READ)
        with in_namespace(name):
            self.sockets = [self.open(family, kind, filter_fd)
                            for family in (socket.AF_INET, socket.AF_INET6)
                            for kind in (socket.SOCK_DGRAM,
                                         socket.SOCK_STREAM)]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def open(self, family, kind, filter_fd):
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, filter_fd)
        made.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            # The addresses are a local route, no interface has them.
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        made.bind(("", PORT))
        if kind == socket.SOCK_STREAM:
            made.listen()
        self.chooser.register(made, selectors.EVENT_READ)
        return made

    def run(self):
        while True:
            for key, _ in self.chooser.select():
                if key.fileobj is self.woken:
                    return
                if key.fileobj not in self.sockets:
                    self.serve(key.fileobj)
                elif key.fileobj.type == socket.SOCK_STREAM:
                    made, _ = key.fileobj.accept()
                    self.accepted.append(made)
                    self.chooser.register(made, selectors.EVENT_READ)
                else:
                    self.reply(key.fileobj)

    def reply(self, at):
        query, rights, _, client = at.recvmsg(4096, 256)
        (level, kind, data), = rights
        to = socket.inet_ntop(at.family, data[8:12] if at.family ==
                              socket.AF_INET else data[:16])
        self.seen.append(("udp", slot_of(to), query))
        answer = self.answer(query)
        if answer is None:
            return
        if at.family == socket.AF_INET:
            data = bytes(4) + data[8:12] + bytes(4)
        at.sendmsg([answer], [(level, kind, data)], 0, client)

    def serve(self, made):
        try:
            query = made.recv(4096)
        except ConnectionError:
            query = b""
        if not query:
            self.chooser.unregister(made)
            if self.ends:
                made.close()
                self.accepted.remove(made)
            return
        self.seen.append(("tcp", slot_of(made.getsockname()[0]), query))
        answer = self.answer(query)
        if answer is not None:
            made.send(answer)

    def slots(self, query):
        """Whose the queries with these bytes were."""
        return [slot for _, slot, seen in list(self.seen) if seen == query]

    def close(self):
        self.wake.send(b"x")
        self.thread.join()
        self.chooser.close()
        for made in (*self.sockets, *self.accepted, self.wake, self.woken):
            made.close()
