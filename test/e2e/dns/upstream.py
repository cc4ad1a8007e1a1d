# SPDX-License-Identifier: Apache-2.0
"""A name server that answers as a test says, by UDP and TCP, and remembers what
it was asked. Driven as calls.py says.

The zone maps names to record sets: {"www.example.test.": {"A": [60,
"203.0.113.1"]}}. A name that begins with "*." answers for all names below it.
What is not there is NXDOMAIN, or without records if the name has others.
"""

import collections
import ipaddress
import os
import random
import socket
import struct
import sys
import threading
import time
import traceback
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import calls  # noqa: E402

SOA = "ns.test. admin.test. 1 3600 600 86400 30"


class Zone:
    def __init__(self):
        self.records = {}
        self.pool = None

    def find(self, name):
        text = name.to_text().lower()
        if text in self.records:
            return self.records[text]
        labels = text.split(".")
        for i in range(1, len(labels)):
            found = self.records.get("*." + ".".join(labels[i:]))
            if found is not None:
                return found
        return None

    def answer(self, query):
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        question = query.question[0]
        name, kind = question.name, dns.rdatatype.to_text(question.rdtype)
        for _ in range(16):
            sets = self.find(name)
            if sets is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
                break
            if kind in sets:
                ttl, *values = sets[kind]
                reply.answer.append(dns.rrset.from_text_list(
                    name, ttl, "IN", kind, values))
                return reply
            if "CNAME" not in sets or kind == "CNAME":
                break
            ttl, target = sets["CNAME"]
            reply.answer.append(dns.rrset.from_text(name, ttl, "IN", "CNAME",
                                                    target))
            name = dns.name.from_text(target)
        reply.authority.append(dns.rrset.from_text("test.", 30, "IN", "SOA",
                                                   SOA))
        return reply


class Server:
    def __init__(self):
        self.zone = Zone()
        self.asked = collections.Counter()
        self.n_queries = 0
        self.delay_s = 0.0
        self.silent = False
        self.raw = {}  # name -> answers in hex that are sent as they are
        self.rotating = {}  # name -> (base, size of the pool, number, ttl)
        self.lock = threading.Lock()

    def rotate(self, query, name):
        base, pool, number, ttl = self.rotating[name]
        first = int(ipaddress.ip_address(base))
        chosen = random.sample(range(pool), number)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        reply.answer.append(dns.rrset.from_text_list(
            query.question[0].name, ttl, "IN", "A",
            [str(ipaddress.ip_address(first + i)) for i in chosen]))
        return reply

    def replies(self, data, by_tcp):
        """Messages to send back, whole."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text().lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        with self.lock:
            self.asked[f"{name} {kind}"] += 1
            self.n_queries += 1
        if self.silent:
            return []
        if self.delay_s:
            time.sleep(self.delay_s)
        if name in self.raw:
            return [data[:2] + bytes.fromhex(text)[2:]
                    for text in self.raw[name]]
        if name in self.rotating:
            if kind == "A":
                reply = self.rotate(query, name)
            else:
                reply = dns.message.make_response(query)
                reply.authority.append(dns.rrset.from_text(
                    "test.", 30, "IN", "SOA", SOA))
        else:
            reply = self.zone.answer(query)
        wire = reply.to_wire(max_size=65535)
        limit = query.payload if query.edns >= 0 else 512
        if not by_tcp and len(wire) > limit:
            cut = dns.message.make_response(query)
            cut.flags |= dns.flags.TC
            wire = cut.to_wire()
        return [wire]

    def serve_udp(self, sock):
        while True:
            data, peer = sock.recvfrom(65535)
            try:
                for message in self.replies(data, False):
                    sock.sendto(message, peer)
            except Exception:  # a broken query is not answered
                traceback.print_exc()

    def serve_connection(self, sock):
        stream = sock.makefile("rb")
        while True:
            head = stream.read(2)
            if len(head) < 2:
                return
            data = stream.read(struct.unpack("!H", head)[0])
            for message in self.replies(data, True):
                sock.sendall(struct.pack("!H", len(message)) + message)

    def serve_tcp(self, listener):
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=self.serve_connection, args=(sock,),
                             daemon=True).start()

    # Calls

    def ping(self):
        return os.getpid()

    def listen(self, addresses, port=53):
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            udp = socket.socket(family, socket.SOCK_DGRAM)
            tcp = socket.socket(family, socket.SOCK_STREAM)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for sock in (udp, tcp):
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((address, port))
            tcp.listen(64)
            for target, sock in ((self.serve_udp, udp), (self.serve_tcp, tcp)):
                threading.Thread(target=target, args=(sock,),
                                 daemon=True).start()

    def put(self, records):
        self.zone.records.update(records)

    def put_raw(self, raw):
        self.raw.update(raw)

    def put_rotating(self, rotating):
        self.rotating.update(rotating)

    def behave(self, delay_s=0.0, silent=False):
        self.delay_s = delay_s
        self.silent = silent

    def take_asked(self):
        """What was asked since the last call, by "name TYPE"."""
        with self.lock:
            asked, self.asked = self.asked, collections.Counter()
        return dict(asked)


if __name__ == "__main__":
    calls.serve(Server())
