# SPDX-License-Identifier: Apache-2.0
"""A client of name servers that runs inside a namespace or cgroup and says all
that it sees. Driven as calls.py says."""

import errno
import os
import random
import selectors
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import calls  # noqa: E402

PATIENCE_S = 8.0


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def describe(reply, peer):
    records = [[record.name.to_text(), dns.rdatatype.to_text(record.rdtype),
                record.ttl, item.to_text()]
               for record in reply.answer for item in record]
    errors = [str(int(option.code)) for option in reply.options
              if option.otype == 15]
    return {"result": "ok", "rcode": dns.rcode.to_text(reply.rcode()),
            "records": records, "from": peer[0], "port": peer[1],
            "question": reply.question[0].name.to_text()
            if reply.question else None,
            "truncated": bool(reply.flags & dns.flags.TC), "ede": errors,
            "addresses": [r[3] for r in records if r[1] in ("A", "AAAA")]}


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def ask(name, kind, server, protocol, timeout_s, payload=1232, connected=True,
        port=53):
    query = dns.message.make_query(
        name, kind, use_edns=payload > 0, payload=payload or 512)
    wire = query.to_wire()
    family = family_of(server)
    if protocol == "tcp":
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect((server, port))
            peer = sock.getpeername()
            sock.sendall(struct.pack("!H", len(wire)) + wire)
            size, = struct.unpack("!H", read_exactly(sock, 2))
            return describe(dns.message.from_wire(read_exactly(sock, size)),
                            peer)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        if connected:
            sock.connect((server, port))
            sock.send(wire)
        else:
            sock.sendto(wire, (server, port))
        data, peer = sock.recvfrom(65535)
        reply = dns.message.from_wire(data)
        assert reply.id == query.id
        return describe(reply, peer)


def attempt(**arguments):
    try:
        return ask(**arguments)
    except TimeoutError:
        return {"result": "timeout"}
    except OSError as error:
        return {"result": os.strerror(error.errno or 0) or str(error)}


def touch(address, port, timeout_s):
    """One connection, closed again at once."""
    with socket.socket(family_of(address), socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))
        sock.settimeout(timeout_s)
        try:
            sock.connect((address, port))
            return "ok"
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return os.strerror(error.errno)


class Pairs(threading.Thread):
    """Resolves and at once connects, again and again."""

    def __init__(self, names, server, number, port):
        super().__init__(daemon=True)
        self.names, self.server, self.number = names, server, number
        self.port = port
        self.done, self.wrong, self.failed = 0, [], 0

    def run(self):
        for _ in range(self.number):
            name = random.choice(self.names)
            answer = attempt(name=name, kind="A", server=self.server,
                             protocol="udp", timeout_s=PATIENCE_S)
            if answer["result"] != "ok" or answer["rcode"] != "NOERROR" or \
                    not answer["addresses"]:
                self.failed += 1
                continue
            address = random.choice(answer["addresses"])
            result = touch(address, self.port, PATIENCE_S)
            if result != "ok":
                self.wrong.append([name, address, result])
            self.done += 1


class Client:
    def __init__(self):
        self.kept = {}

    def ping(self):
        return os.getpid()

    def query(self, name, kind="A", server="192.0.2.53", protocol="udp",
              timeout_s=PATIENCE_S, payload=1232, connected=True, port=53):
        return attempt(name=name, kind=kind, server=server, protocol=protocol,
                       timeout_s=timeout_s, payload=payload,
                       connected=connected, port=port)

    def many(self, names, kind="A", server="192.0.2.53", timeout_s=PATIENCE_S):
        return [self.query(name, kind, server, timeout_s=timeout_s)
                for name in names]

    def send_raw(self, data, server, protocol="udp", port=53, timeout_s=1.0,
                 chunk=None):
        """Bytes as they are; what comes back within the time, in hex."""
        wire = bytes.fromhex(data)
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with socket.socket(family_of(server), kind) as sock:
            sock.settimeout(timeout_s)
            got = b""
            try:
                sock.connect((server, port))
                for at in range(0, len(wire), chunk or len(wire) or 1):
                    sock.sendall(wire[at:at + (chunk or len(wire))])
                if protocol == "udp":
                    return sock.recv(65535).hex()
                while True:
                    more = sock.recv(65535)
                    if not more:
                        return got.hex()
                    got += more
            except TimeoutError:
                return got.hex() if protocol == "tcp" else None
            except OSError as error:
                return os.strerror(error.errno)

    def pipeline(self, names, server, kind="A"):
        """All queries in one segment; rcodes by name."""
        queries = [dns.message.make_query(name, kind) for name in names]
        wires = [query.to_wire() for query in queries]
        answers = {}
        with socket.socket(family_of(server), socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect((server, 53))
            sock.sendall(b"".join(struct.pack("!H", len(wire)) + wire
                                  for wire in wires))
            for _ in names:
                size, = struct.unpack("!H", read_exactly(sock, 2))
                reply = dns.message.from_wire(read_exactly(sock, size))
                answers[reply.id] = dns.rcode.to_text(reply.rcode())
        return {name: answers[query.id]
                for name, query in zip(names, queries)}

    def ask_three(self, name, servers):
        """One unconnected socket asks several servers; who answered."""
        query = dns.message.make_query(name, "A").to_wire()
        with socket.socket(family_of(servers[0]), socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE_S)
            for server in servers:
                sock.sendto(query, (server, 53))
            return sorted(sock.recvfrom(65535)[1][0] for _ in servers)

    def touch(self, address, port=80, timeout_s=0.5):
        return touch(address, port, timeout_s)

    def keep(self, addresses, port=80):
        """Connections that stay; how many there are now."""
        for address in addresses:
            sock = socket.create_connection((address, port), PATIENCE_S)
            self.kept.setdefault(address, []).append(sock)
        return sum(map(len, self.kept.values()))

    def exchange(self, timeout_s=PATIENCE_S, wanted=0):
        """Every kept connection sends and gets its bytes back; how many did
        within the time, which begins when those that should have."""
        waiting = selectors.DefaultSelector()
        for sock in (sock for socks in self.kept.values() for sock in socks):
            sock.setblocking(False)
            try:
                sock.send(b"x" * 8)
                waiting.register(sock, selectors.EVENT_READ)
            except OSError:
                continue
        good = 0
        deadline = time.monotonic() + (PATIENCE_S if wanted else timeout_s)
        while waiting.get_map() and (ready := waiting.select(
                max(deadline - time.monotonic(), 0))):
            for key, _ in ready:
                waiting.unregister(key.fileobj)
                key.fileobj.settimeout(PATIENCE_S)
                try:
                    read_exactly(key.fileobj, 8)
                    good += 1
                except OSError:
                    continue
                if good == wanted:
                    deadline = time.monotonic() + timeout_s
        waiting.close()
        return good

    def drop_kept(self):
        """Gone at once: nothing of them is sent again in a later test."""
        for socks in self.kept.values():
            for sock in socks:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
                sock.close()
        self.kept.clear()

    def crowd(self, server, number):
        """Connections that say nothing, as many as can be made; some
        descriptors are left for others."""
        self.idle = []
        family = family_of(server)
        for _ in range(number):
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
                self.idle.append(sock)
                sock.settimeout(1)
                sock.connect((server, 53))
            except OSError as error:
                if error.errno == errno.EMFILE:
                    for sock in self.idle[-16:]:
                        sock.close()
                break

    def disperse(self):
        for sock in self.idle:
            sock.close()

    def flood(self, server, seconds):
        """Different names as fast as they go, from the background."""
        def work():
            deadline = time.monotonic() + seconds
            number = 0
            queries = [dns.message.make_query(
                f"f{i}.good.test.", "A").to_wire() for i in range(1000)]
            with socket.socket(family_of(server), socket.SOCK_DGRAM) as sock:
                sock.connect((server, 53))
                sock.setblocking(False)
                while time.monotonic() < deadline:
                    number += 1
                    try:
                        sock.send(queries[number % len(queries)])
                    except (BlockingIOError, PermissionError):
                        pass
        self.flooding = threading.Thread(target=work, daemon=True)
        self.flooding.start()

    def flooded(self):
        self.flooding.join()

    def pairs(self, names, server, number, threads, port=80):
        work = [Pairs(names, server, number // threads, port)
                for _ in range(threads)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        return {"done": sum(w.done for w in work),
                "failed": sum(w.failed for w in work),
                "wrong": [wrong for w in work for wrong in w.wrong][:20]}


if __name__ == "__main__":
    calls.serve(Client())
