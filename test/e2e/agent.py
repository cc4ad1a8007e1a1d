# SPDX-License-Identifier: Apache-2.0
"""A process inside a network namespace, a cgroup or both that makes traffic
and says what became of it. Runs as a program, driven as calls.py says."""

import collections
import contextlib
import errno
import os
import select
import selectors
import socket
import struct
import threading
import time

import calls

ETH_P_ALL = 3
PACKET_OUTGOING = 4
IP_PKTINFO = 8
IP_MTU_DISCOVER = 10
IPV6_DONTFRAG = 62
IPV6_PKTINFO = 50
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
PORTS = (socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_SCTP)
# An answer that is expected may take this long on a busy machine.
PATIENCE_S = 8.0


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def error_name(error):
    return errno.errorcode.get(error, str(error))


def icmp_echo(family, ident, sequence):
    """The kernel fills in the checksum of ICMPv6 only."""
    kind = 128 if family == socket.AF_INET6 else 8
    body = struct.pack("!HH", ident, sequence) + b"sentinel"
    packet = struct.pack("!BBH", kind, 0, 0) + body
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    return struct.pack("!BBH", kind, 0, ~total & 0xffff) + body


class Server(threading.Thread):
    """Echoes TCP and UDP on any address of both families."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.sinks = {}
        self.wake_in, self.wake_out = socket.socketpair()
        self.dropped = threading.Event()
        self.selector.register(self.wake_in, selectors.EVENT_READ, self.wake)

    def wake(self, sock):
        if b"d" in sock.recv(64):
            self.end_all()
            self.dropped.set()

    def end_all(self):
        for key in list(self.selector.get_map().values()):
            if key.data == self.echo:
                self.selector.unregister(key.fileobj)
                key.fileobj.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                key.fileobj.close()

    def drop(self):
        """Ends all connections at once. Those of clients that went while their
        packets were blocked stay for ever, and a process may have only so many."""
        self.dropped.clear()
        self.wake_out.send(b"d")
        if not self.dropped.wait(PATIENCE_S):
            raise RuntimeError("connections are not ended")

    def listen(self, kind, port, handler):
        for family in (socket.AF_INET, socket.AF_INET6):
            sock = socket.socket(family, kind)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
            if kind == socket.SOCK_STREAM:
                sock.listen(256)
            else:
                sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            sock.setblocking(False)
            self.selector.register(sock, selectors.EVENT_READ, handler)
        self.wake_out.send(b"x")

    def accept(self, sock):
        connection, _ = sock.accept()
        connection.setblocking(False)
        self.selector.register(connection, selectors.EVENT_READ, self.echo)

    def echo(self, sock):
        if sock.fileno() < 0:  # Ended by what came in the same turn.
            return
        try:
            data = sock.recv(65536)
            if data:
                sock.send(data)
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.selector.unregister(sock)
        sock.close()

    def answer(self, sock):
        """From the address that was asked, which is one of very many."""
        for _ in range(64):
            try:
                data, ancillary, _, peer = sock.recvmsg(65535, 256)
            except BlockingIOError:
                return
            reply = []
            for level, kind, value in ancillary:
                if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                    reply = [(level, kind, bytes(4) + value[8:12] + bytes(4))]
                elif level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO:
                    reply = [(level, kind, value[:16] + bytes(4))]
            try:
                sock.sendmsg([data], reply, 0, peer)
            except OSError:
                pass  # Refused by a policy under test; the peer notices.

    def sink(self, sock):
        """Keeps what the datagrams of a stream carry: number and time."""
        for _ in range(256):
            try:
                data, peer = sock.recvfrom(65535)
            except BlockingIOError:
                return
            if len(data) >= 16:
                number, sent_ns = struct.unpack("!QQ", data[:16])
                self.sinks.setdefault(peer[1], []).append((number, sent_ns))

    def run(self):
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)


class Sniffer(threading.Thread):
    """Counts the IP packets that arrive on an interface, by flow."""

    def __init__(self, interface):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                  socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 25)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.bind((interface, ETH_P_ALL))
        self.sock.setblocking(False)
        self.lock = threading.Lock()
        self.count = collections.Counter()
        self.last_ns = {}

    @staticmethod
    def flow_of(frame):
        """(protocol, source, source port, destination, port) or None."""
        if frame[12:14] == b"\x08\x00" and len(frame) >= 34:
            protocol = frame[23]
            source, target = frame[26:30], frame[30:34]
            at = 14 + (frame[14] & 15) * 4
            family = socket.AF_INET
            later = struct.unpack("!H", frame[20:22])[0] & 0x1fff
        elif frame[12:14] == b"\x86\xdd" and len(frame) >= 54:
            protocol = frame[20]
            source, target = frame[22:38], frame[38:54]
            at, later = 54, 0
            family = socket.AF_INET6
            if protocol == 44:
                protocol = frame[54]
                later = struct.unpack("!H", frame[56:58])[0] >> 3
                at = 62
        else:
            return None
        low = high = 0
        if not later and len(frame) >= at + 8:
            if protocol in PORTS:
                low, high = struct.unpack("!HH", frame[at:at + 4])
            elif protocol in (1, 58):
                low = struct.unpack("!H", frame[at + 4:at + 6])[0]
        return (protocol, socket.inet_ntop(family, source), low,
                socket.inet_ntop(family, target), high)

    def drain(self):
        """Counts what has arrived so far; the lock is held."""
        while True:
            try:
                frame, ancillary, _, address = self.sock.recvmsg(2048, 128)
            except BlockingIOError:
                return
            except OSError:
                return  # The interface is gone.
            flow = self.flow_of(frame)
            if not flow or address[2] == PACKET_OUTGOING:
                continue
            self.count[flow] += 1
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, ns = struct.unpack("qq", value[:16])
                    self.last_ns[flow] = seconds * 1000000000 + ns

    def run(self):
        while True:
            select.select([self.sock], [], [])
            with self.lock:
                self.drain()

    def matching(self, flow):
        """None in a flow stands for anything."""
        with self.lock:
            self.drain()
            keys = [key for key in self.count if
                    all(want is None or want == have
                        for want, have in zip(flow, key))]
            return {"count": sum(self.count[key] for key in keys),
                    "last_ns": max([self.last_ns.get(key, 0) for key in keys],
                                   default=0)}


class Stream(threading.Thread):
    """Numbered datagrams, or bulk TCP, until told to stop."""

    def __init__(self, sock, protocol, pause_s):
        super().__init__(daemon=True)
        self.sock = sock
        self.protocol = protocol
        self.pause_s = pause_s
        self.sent = 0
        self.refused = 0
        self.ended = threading.Event()

    def step(self):
        if self.protocol == "tcp":
            ready = select.select([self.sock], [self.sock], [], 0.05)
            if ready[0]:
                self.sock.recv(65536)
            if ready[1]:
                self.sock.send(bytes(8192))
                self.sent += 1
            return
        # Counted also when refused, so that `sent` says how often it tried.
        self.sent += 1
        self.sock.send(struct.pack("!QQ", self.sent,
                                   time.clock_gettime_ns(time.CLOCK_REALTIME)))

    def run(self):
        while not self.ended.is_set():
            try:
                self.step()
            except BlockingIOError:
                pass
            except OSError:
                self.refused += 1
            self.ended.wait(self.pause_s)


class Probe:
    """One attempt to be answered: connect, a datagram or an echo request."""

    def __init__(self, protocol, target, port, want):
        self.protocol, self.target, self.port = protocol, target, port
        self.want = want
        self.result = None
        self.family = family_of(target)
        self.ident = 0
        self.source = ("", 0)
        self.sock = None

    def start(self):
        try:
            if self.protocol == "icmp":
                self.start_echo()
            else:
                self.start_port()
        except BlockingIOError:
            pass
        except OSError as error:
            self.result = error_name(error.errno)
        if self.sock:
            try:
                self.source = self.sock.getsockname()[:2]
            except OSError:
                pass

    def start_port(self):
        tcp = self.protocol == "tcp"
        self.sock = socket.socket(self.family, socket.SOCK_STREAM if tcp
                                  else socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind(("::" if self.family == socket.AF_INET6
                        else "0.0.0.0", 0))
        if self.protocol == "sendto":  # No connect() before it.
            self.sock.sendto(b"probe", (self.target, self.port))
            return
        self.sock.connect((self.target, self.port))
        if not tcp:
            self.sock.send(b"probe")

    def start_echo(self):
        protocol = socket.IPPROTO_ICMPV6 if self.family == socket.AF_INET6 \
            else socket.IPPROTO_ICMP
        self.sock = socket.socket(self.family, socket.SOCK_RAW, protocol)
        self.sock.setblocking(False)
        self.ident = struct.unpack("!H", os.urandom(2))[0] or 1
        self.sock.connect((self.target, 0))
        self.sock.send(icmp_echo(self.family, self.ident, 1))

    def wants_write(self):
        return self.protocol == "tcp"

    def finish(self):
        """Called when the socket is ready."""
        try:
            if self.protocol == "tcp":
                error = self.sock.getsockopt(socket.SOL_SOCKET,
                                             socket.SO_ERROR)
                self.result = error_name(error) if error else "ok"
            elif self.protocol == "icmp":
                self.finish_echo()
            else:
                self.sock.recv(2048)
                self.result = "ok"
        except BlockingIOError:
            pass
        except OSError as error:
            self.result = error_name(error.errno)

    def finish_echo(self):
        data = self.sock.recv(2048)
        if self.family == socket.AF_INET:
            data = data[(data[0] & 15) * 4:]
        kind = 129 if self.family == socket.AF_INET6 else 0
        if data[0] == kind and \
                struct.unpack("!H", data[4:6])[0] == self.ident:
            self.result = "ok"

    def answer(self):
        return {"result": self.result or "timeout",
                "source": self.source[0],
                "port": self.ident or self.source[1]}

    def close(self):
        if not self.sock:
            return
        if self.protocol == "tcp":
            # Gone at once: nothing of it is sent again later.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
        self.sock.close()


class Agent:
    def __init__(self):
        self.server = None
        self.sniffer = None
        self.streams = {}
        self.sockets = {}

    def ping(self):
        return os.getpid()

    def serve(self, tcp=(), udp=(), sinks=()):
        if not self.server:
            self.server = Server()
            self.server.start()
        for port in tcp:
            self.server.listen(socket.SOCK_STREAM, port, self.server.accept)
        for port in udp:
            self.server.listen(socket.SOCK_DGRAM, port, self.server.answer)
        for port in sinks:
            self.server.listen(socket.SOCK_DGRAM, port, self.server.sink)

    def drop_served(self):
        self.server.drop()

    def sunk(self, port):
        return self.server.sinks.get(port, [])

    def sniff(self, interface):
        self.sniffer = Sniffer(interface)
        self.sniffer.start()

    def seen(self, flows):
        return [self.sniffer.matching(flow) for flow in flows]

    def seen_all(self, flows):
        """For each flow whether a packet of it came; its source is any."""
        with self.sniffer.lock:
            self.sniffer.drain()
            have = {(key[0], *key[2:]) for key in self.sniffer.count}
        return [(flow[0], *flow[2:]) in have for flow in flows]

    def forget(self):
        """Starts counting anew: clients get the same ports again."""
        if self.sniffer:
            with self.sniffer.lock:
                self.sniffer.drain()
                self.sniffer.count.clear()
                self.sniffer.last_ns.clear()
        if self.server:
            self.server.sinks.clear()

    def probe(self, probes, grace_s):
        """Starts all at once. Waits long for those that should be answered,
        and a little more for those that should not."""
        work = [Probe(*probe) for probe in probes]
        for probe in work:
            probe.start()
        deadline = time.monotonic() + PATIENCE_S
        graced = False
        while True:
            left = [p for p in work if not p.result and p.sock]
            if not left:
                break
            if not graced and not [p for p in left if p.want]:
                deadline, graced = time.monotonic() + grace_s, True
            wait_s = deadline - time.monotonic()
            if wait_s <= 0:
                break
            ready = select.select(
                [p.sock for p in left if not p.wants_write()],
                [p.sock for p in left if p.wants_write()], [], wait_s)
            for probe in left:
                if probe.sock in ready[0] or probe.sock in ready[1]:
                    probe.finish()
        answers = [probe.answer() for probe in work]
        for probe in work:
            probe.close()
        return answers

    def scatter(self, packets):
        """One packet each of (protocol number, target, source port, port), by
        raw sockets. Those that the kernel refuses at once are passed over."""
        socks = {}
        for protocol, target, source, port in packets:
            key = (family_of(target), protocol)
            if key not in socks:
                socks[key] = socket.socket(key[0], socket.SOCK_RAW, protocol)
                socks[key].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF,
                                      1 << 24)
            data = struct.pack("!HH", source, port)
            if protocol == socket.IPPROTO_TCP:
                data += struct.pack("!IIBBHHH", 1, 0, 5 << 4, 2, 1024, 0, 0)
            elif protocol == socket.IPPROTO_UDP:
                data += struct.pack("!HH", 16, 0) + bytes(8)
            else:
                data += bytes(16)
            with contextlib.suppress(PermissionError):
                socks[key].sendto(data, (target, 0))
        for sock in socks.values():
            sock.close()

    def burst(self, protocol, target, port, count, size=32, replies=True):
        """count packets of one flow. Answers how many were refused by the
        kernel and how many were answered."""
        family = family_of(target)
        refused = received = 0
        ident = struct.unpack("!H", os.urandom(2))[0] or 1
        if protocol == "icmp":
            kind = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 \
                else socket.IPPROTO_ICMP
            sock = socket.socket(family, socket.SOCK_RAW, kind)
        else:
            sock = socket.socket(family, socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(PATIENCE_S)
            if protocol != "sendto":
                sock.connect((target, port))
            for number in range(count):
                data = icmp_echo(family, ident, number + 1) \
                    if protocol == "icmp" else bytes(size)
                try:
                    if protocol == "sendto":
                        sock.sendto(data, (target, port))
                    else:
                        sock.send(data)
                except OSError as error:
                    if error.errno != errno.EPERM:
                        raise
                    refused += 1
                    continue
                if not replies:
                    continue
                # One at a time, so that no queue overflows on the way.
                while True:
                    data = sock.recv(65535)
                    if protocol != "icmp" or ident == self.echo_ident(
                            family, data):
                        break
                received += 1
            source = sock.getsockname()
        return {"refused": refused, "received": received, "source": source[0],
                "port": ident if protocol == "icmp" else source[1]}

    @staticmethod
    def echo_ident(family, data):
        if family == socket.AF_INET:
            data = data[(data[0] & 15) * 4:]
        if data[0] != (129 if family == socket.AF_INET6 else 0):
            return None
        return struct.unpack("!H", data[4:6])[0]

    def open(self, name, protocol, target, port):
        """Keeps a connection, so that its flow lives on."""
        sock = socket.socket(family_of(target), socket.SOCK_STREAM
                             if protocol == "tcp" else socket.SOCK_DGRAM)
        sock.settimeout(PATIENCE_S)
        sock.connect((target, port))
        self.sockets[name] = sock
        return sock.getsockname()[:2]

    def exchange(self, name, timeout_s=PATIENCE_S):
        """Sends a few bytes and waits for them to come back."""
        sock = self.sockets[name]
        data = os.urandom(8)
        deadline = time.monotonic() + timeout_s
        got = b""
        try:
            sock.send(data)
            while data not in got:
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                more = sock.recv(4096)
                if not more:
                    return "closed"
                got += more
            return "ok"
        except (TimeoutError, BlockingIOError):
            return "timeout"
        except OSError as error:
            return error_name(error.errno)

    def close(self, name):
        sock = self.sockets.pop(name)
        if sock.type == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        sock.close()

    def stream(self, name, protocol, target, port, pause_s=0.0005):
        sock = socket.socket(family_of(target), socket.SOCK_STREAM
                             if protocol == "tcp" else socket.SOCK_DGRAM)
        sock.settimeout(PATIENCE_S)
        sock.connect((target, port))
        sock.setblocking(False)
        self.streams[name] = Stream(sock, protocol, pause_s)
        self.streams[name].start()
        return sock.getsockname()[:2]

    def streaming(self, name):
        stream = self.streams[name]
        return {"sent": stream.sent, "refused": stream.refused}

    def stop(self, name):
        stream = self.streams.pop(name)
        stream.ended.set()
        stream.join()
        stream.sock.setblocking(True)
        if stream.protocol == "tcp":
            stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
        stream.sock.close()
        return {"sent": stream.sent, "refused": stream.refused}

    def path_mtu(self, target, port, size):
        """Sends datagrams that may not be fragmented until the kernel has
        learnt that they are too large. True: it has."""
        family = family_of(target)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        with sock:
            if family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 2)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)
            sock.connect((target, port))
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                try:
                    sock.send(bytes(size))
                except OSError as error:
                    if error.errno == errno.EMSGSIZE:
                        return True
                select.select([], [], [], 0.01)
        return False

    def frames(self, interface, frames):
        """Raw frames, written in hex."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind((interface, 0))
            for frame in frames:
                sock.send(bytes.fromhex(frame))


if __name__ == "__main__":
    calls.serve(Agent())
