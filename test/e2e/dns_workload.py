# SPDX-License-Identifier: Apache-2.0
"""A process in a cgroup and a network namespace that does what it is told, line
by line; and what it can be told beyond plain Python."""

import ast
import os
import subprocess

LIMIT_S = 60

PRELUDE = r"""
import errno, os, select, socket, struct, sys
from socket import *

LIMIT_S = 20


def make(server, kind="udp", family=None, device=None, source=None, mark=0):
    family = family or (AF_INET6 if ":" in server else AF_INET)
    made = socket(family, SOCK_STREAM if kind == "tcp" else SOCK_DGRAM)
    made.settimeout(LIMIT_S)
    if device:
        made.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, device.encode())
    if mark:
        made.setsockopt(SOL_SOCKET, SO_MARK, mark)
    if source:
        made.bind((source, 0))
    return made


def ask(server, text, kind="udp", connected=False, port=53, **more):
    # The answer, whom the socket is connected to, who the answer is from.
    made = make(server, kind, **more)
    peer = source = None
    if kind == "tcp" or connected:
        made.connect((server, port))
        peer = made.getpeername()[:2]
        made.send(text)
    else:
        made.sendto(text, (server, port))
    answer, source = made.recvfrom(4096)
    return answer, peer, source and source[:2]


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def udp(source, target, text, ports):
    # An IPv4 packet with a UDP checksum of 0, which stands for none.
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(text), 1, 0, 64, 17,
                       0, inet_aton(source), inet_aton(target))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return head + struct.pack("!HHHH", *ports, 8 + len(text), 0) + text


def tcp(source, target, flags, ports):
    # An IPv4 packet with a TCP header and no data.
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0,
                       inet_aton(source), inet_aton(target))
    body = struct.pack("!HHIIBBHHH", *ports, 1, 1, 0x50, flags, 1000, 0, 0)
    total = checksum(inet_aton(source) + inet_aton(target) +
                     struct.pack("!BBH", 0, 6, 20) + body)
    return head + body[:16] + struct.pack("!H", total) + body[18:]


def send_segment(source, target, flags, ports):
    made = socket(AF_INET, SOCK_RAW, IPPROTO_RAW)
    return made.sendto(tcp(source, target, flags, ports), (target, 0))


def count_resets():
    # Sent in this namespace (SNMP OutRsts).
    lines = [line.split() for line in open("/proc/net/snmp")
             if line.startswith("Tcp:")]
    return int(dict(zip(*lines))["OutRsts"])


def has_connection(port, state):
    # To this port, in this state (include/net/tcp_states.h).
    return any(line.split()[2].endswith(f":{port:04X}") and
               int(line.split()[3], 16) == state
               for line in open("/proc/net/tcp").readlines()[1:])


def send_raw(source, target, text, ports, mark=0):
    made = socket(AF_INET, SOCK_RAW, IPPROTO_RAW)
    if mark:
        made.setsockopt(SOL_SOCKET, SO_MARK, mark)
    return made.sendto(udp(source, target, text, ports), (target, 0))


def serve():
    space = dict(globals())
    for line in sys.stdin:
        try:
            try:
                answer = eval(line, space)
            except SyntaxError:
                exec(line, space)
                answer = None
        except OSError as error:
            answer = errno.errorcode.get(error.errno, str(error))
        print(repr(answer), flush=True)


serve()
"""


class Workload:
    def __init__(self, netns, group=None, wrap=()):
        def enter():
            if group:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{netns}", *wrap, "/usr/bin/python3",
             "-c", PRELUDE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, preexec_fn=enter)

    def start(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def result(self):
        return ast.literal_eval(self.process.stdout.readline())

    def do(self, line):
        """The value of an expression, or the name of the error."""
        self.start(line)
        return self.result()

    def join(self, group):
        (group / "cgroup.procs").write_text(str(self.process.pid))

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
