# SPDX-License-Identifier: Apache-2.0
"""Client of sentinel-dp's socket for tests: one record each way, packed by
hand from shared/ipc.h and shared/abi.h."""

import array
import errno
import re
import socket
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

TABLES = re.findall(r"^SN_TABLE\((\w+)",
                    (ROOT / "shared/tables.def").read_text(), re.M)
TYPES = {name: int(number) for name, number in re.findall(
    r"^SN_IPC\((\w+), (\d+)", (ROOT / "shared/ipc.def").read_text(), re.M)}

PROTOCOL = 4
ABI = 5
TC, CGROUP, WHOLE_HOST = 1, 2, 3
WORKLOAD, HOST = 1, 2
DISABLED, ALLOWLIST, DENYLIST, BLOCK_ALL = 1, 2, 3, 4
REPLIES, ALLOW_INBOUND = 1, 2
ALLOW, DENY = 1, 2
NARROW, UNUSED = 1, 2
KEYS, IDLE = 1, 2

HEADER = struct.Struct("=HHIII")
STATUS = struct.Struct("=iIII")
TARGET = struct.Struct("=16sQQIIIIIiBBB5x32s")
ATTACHED = struct.Struct("=QQIIiI")
PAGE_ANSWER = struct.Struct("=II64s")
RULE_KEY = struct.Struct("=II16sBB6x")
PREFIX_KEY = struct.Struct("=IIIB3x16s")
ITEM = struct.Struct("=QIHH")
VALUE_HEAD = struct.Struct("=QQIBB2x")
DNS = struct.Struct("=4sBB6s6sHHH16s16sIIIIQ")
# In the answer to HELLO.
DNS_OFFSET = 56
PROGRAMS_OFFSET, PROGRAMS_MAX = 392, 128
HOOKS_OFFSET = PROGRAMS_OFFSET + 4 * PROGRAMS_MAX
RECORD_BYTES = 65536


class Closed(Exception):
    """sentinel-dp has ended the link."""


class Refused(Exception):
    """A request was answered with an error."""

    def __init__(self, status, index, applied):
        super().__init__(errno.errorcode.get(-status, str(status)))
        self.errno = -status
        self.index = index
        self.applied = applied


class Answer:
    def __init__(self, record, fds):
        (self.type, self.is_answer, self.seq, self.size,
         self.n_rows) = HEADER.unpack_from(record)
        (self.status, self.index, self.applied,
         self.pad) = STATUS.unpack_from(record, HEADER.size)
        self.body = record[HEADER.size + STATUS.size:]
        self.fds = fds


def rule_key(slot, generation, address, length=None):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    if length is None:
        length = 8 * len(packed)
    return RULE_KEY.pack(slot, generation, packed.ljust(16, b"\0"),
                         6 if len(packed) == 16 else 4, length)


def prefix_key(slot, generation, address, length):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    return PREFIX_KEY.pack(96 + length, slot, generation,
                           6 if len(packed) == 16 else 4,
                           packed.ljust(16, b"\0"))


def item(verdict=ALLOW, protocol=0, ports=(0, 65535), rule=1, expires=0):
    return ITEM.pack(expires | protocol << 48 | verdict << 56, rule, *ports)


def value(*items, length=32):
    return (VALUE_HEAD.pack(0, 0, 0, len(items), length) +
            b"".join(items).ljust(8 * ITEM.size, b"\0") + bytes(8))


def policy(generation, mode, audit=0, inbound=REPLIES, lengths4=(), trie4=0,
           dns=0):
    return struct.pack("=IBBBBBBBB4s4s12x", generation, mode, audit, inbound,
                       trie4, 0, len(lengths4), 0, dns, bytes(lengths4), b"")


class Client:
    def __init__(self, path, hello=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.seq = 0
        self.greeting = None
        if hello:
            self.hello()

    def close(self):
        self.socket.close()

    def send_raw(self, record, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                   array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([record], rights)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Closed from error

    def receive(self):
        """The next answer; raises Closed if the link has ended."""
        try:
            record, rights, _, _ = self.socket.recvmsg(
                RECORD_BYTES, socket.CMSG_SPACE(8 * 4))
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Closed from error
        if not record:
            raise Closed
        fds = array.array("i")
        for _, _, data in rights:
            fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        return Answer(record, list(fds))

    def request(self, name, body=b"", rows=(), fds=()):
        """Sends one request without waiting."""
        self.seq += 1
        payload = body + b"".join(rows)
        self.send_raw(HEADER.pack(TYPES[name], 0, self.seq,
                                  HEADER.size + len(payload), len(rows)) +
                      payload, fds)
        return self.seq

    def call(self, name, body=b"", rows=(), fds=()):
        seq = self.request(name, body, rows, fds)
        answer = self.receive()
        assert (answer.type, answer.is_answer, answer.seq) == \
            (TYPES[name], 1, seq)
        assert answer.pad == 0
        if answer.status:
            raise Refused(answer.status, answer.index, answer.applied)
        return answer

    def hello(self, protocol=PROTOCOL, abi=ABI):
        self.greeting = self.call("HELLO", struct.pack("=II", protocol, abi))
        return self.greeting

    def dns(self):
        """What HELLO told of name resolution."""
        names = ("range4", "range4_bits", "has_tc", "mac_host", "mac_steer",
                 "port_tc", "port_cgroup", "life", "range6", "loopback6",
                 "ifindex_host", "ifindex_steer", "mark", "query_ns",
                 "netns_cookie")
        return dict(zip(names, DNS.unpack_from(self.greeting.body,
                                               DNS_OFFSET)))

    def list(self):
        found, first = [], 1
        while first:
            answer = self.call("LIST", struct.pack("=II", first, 0))
            first, _ = struct.unpack_from("=II", answer.body)
            names = ("id", "object", "attached_at", "slot", "generation",
                     "revision", "staged", "next_generation", "position",
                     "type", "role", "state", "policy")
            for i in range(answer.n_rows):
                row = TARGET.unpack_from(answer.body, 8 + i * TARGET.size)
                found.append(dict(zip(names, row)))
        return found

    def attach(self, identity, kind=TC, ifindex=0, role=WORKLOAD, mode=0,
               audit=0, quota=64, fd=None):
        if kind == CGROUP and role == WORKLOAD:
            role = 0
        body = struct.pack("=16sIIBBBB4x", identity, ifindex, quota, kind, role,
                           mode, audit)
        answer = self.call("ATTACH", body, fds=() if fd is None else (fd,))
        names = ("object", "attached_at", "slot", "generation", "position",
                 "pad")
        return dict(zip(names, ATTACHED.unpack_from(answer.body)))

    def detach(self, identity, slot):
        return self.call("DETACH", struct.pack("=16sII", identity, slot, 0))

    def put(self, table, slot, generation, rows, flags=0):
        return self.call("TABLE_PUT", struct.pack(
            "=IIII", TABLES.index(table), flags, slot, generation), rows)

    def delete(self, table, slot, generation, keys, flags=0):
        answer = self.call("TABLE_DEL", struct.pack(
            "=IIII", TABLES.index(table), flags, slot, generation), keys)
        return list(answer.body[8:8 + answer.n_rows])

    def page(self, name, table, slot=0, generation=0, flags=0,
             cursor=bytes(64), rows=()):
        answer = self.call(name, struct.pack(
            "=IIII64s", TABLES.index(table), flags, slot, generation, cursor),
            rows)
        done, deleted, cursor = PAGE_ANSWER.unpack_from(answer.body)
        body = answer.body[PAGE_ANSWER.size:]
        width = len(body) // answer.n_rows if answer.n_rows else 0
        found = [body[i * width:(i + 1) * width]
                 for i in range(answer.n_rows)]
        return done, deleted, cursor, found

    def get(self, table, slot=0, generation=0):
        found, cursor, done = [], bytes(64), 0
        for _ in range(1000):
            done, _, cursor, rows = self.page("TABLE_GET", table, slot,
                                              generation, cursor=cursor)
            found += rows
            if done:
                return found
        raise AssertionError("the walk does not end")

    def sweep(self, table, slot=0, generation=0, flags=0):
        total, cursor = 0, bytes(64)
        for _ in range(1000):
            done, deleted, cursor, _ = self.page("TABLE_SWEEP", table, slot,
                                                 generation, flags, cursor)
            total += deleted
            if done:
                return total
        raise AssertionError("the sweep does not end")

    def flip(self, slot, block):
        return self.call("FLIP", struct.pack("=II", slot, 0) + block)

    def stats(self):
        answer = self.call("STATS", bytes(8))
        names = ("flows", "attached", "dirty", "records_refused",
                 "peers_refused")
        return dict(zip(names, struct.unpack_from("=5Q", answer.body)))
