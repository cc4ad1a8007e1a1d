# SPDX-License-Identifier: Apache-2.0
"""The process inside a namespace or cgroup that tries to get past the filter,
and the one at the far end that keeps every frame which arrives. Driven as
calls.py says; every attempt answers "sent" or the name of the error.

It keeps to one CPU: what it sends reaches the far end in the order in which it
was sent, so that whatever came before a frame that has arrived has arrived too.
"""

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import agent  # noqa: E402
import calls  # noqa: E402

MARK = b"snt-mark"
PATIENCE_S = 8.0
ETH_P_ALL = 3
PACKET_OUTGOING = 4
PACKET_VNET_HDR, PACKET_QDISC_BYPASS, SOL_PACKET = 15, 20, 263
SO_RCVBUFFORCE, SO_ZEROCOPY = 33, 60
MSG_FASTOPEN, MSG_ZEROCOPY = 0x20000000, 0x4000000
IP_OPTIONS, IP_TRANSPARENT, IPV6_TRANSPARENT = 4, 19, 75
IPV6_HDRINCL, UDP_SEGMENT, TCP_FASTOPEN_CONNECT = 36, 103, 30
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 1, 0x1000, 0x4000


class Recorder:
    """Frames that have come in on an interface, in order. The kernel queues
    them; a fence (TCP with a source port of its own) says how far to read."""

    def __init__(self, interface):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                  socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self.sock.bind((interface, ETH_P_ALL))

    def read(self):
        """The next frame that came in, None if there is none."""
        while True:
            try:
                frame, _, _, address = self.sock.recvmsg(
                    1 << 17, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            if address[2] != PACKET_OUTGOING:
                return frame

    def until(self, fence):
        """All frames up to the fence; all that are there if it is None."""
        frames = []
        wait = select.poll()
        wait.register(self.sock, select.POLLIN)
        while True:
            frame = self.read()
            if frame is None:
                if fence is None:
                    return frames, True
                if not wait.poll(PATIENCE_S * 1000):
                    return frames, False
                continue
            frames.append(frame)
            if fence is not None and self.fence_of(frame) == fence:
                return frames, True

    @staticmethod
    def fence_of(frame):
        if frame[12:14] != b"\x08\x00" or len(frame) < 54 or frame[23] != 6 \
                or frame[14] != 0x45:
            return None
        return struct.unpack("!H", frame[34:36])[0]


def told(function, *arguments):
    """"sent" or the name of the error that a call ended in."""
    try:
        function(*arguments)
    except BlockingIOError:
        pass
    except OSError as error:
        return agent.error_name(error.errno)
    return "sent"


class Sender(agent.Agent):
    def __init__(self):
        super().__init__()
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        self.recorders = {}
        self.tuns = {}
        self.mailbox = None

    # The far end

    def record(self, interface):
        self.recorders[interface] = Recorder(interface)

    def recorded(self, interface, fence=None):
        frames, found = self.recorders[interface].until(fence)
        return {"fenced": found, "frames": [
            {"head": frame[:160].hex(), "bytes": len(frame),
             "marked": MARK in frame} for frame in frames]}

    # Frames and packets, written in hex

    def send_frames(self, interface, frames, bypass=False, virtual=False):
        """virtual: each begins with a struct virtio_net_hdr."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            if bypass:
                sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            if virtual:
                sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            sock.bind((interface, 0))
            return [told(sock.send, bytes.fromhex(frame)) for frame in frames]

    def send_packets(self, device, packets):
        """With their own network headers (IP_HDRINCL)."""
        return [self.send_packet(device, bytes.fromhex(packet))
                for packet in packets]

    @staticmethod
    def send_packet(device, packet, target=None):
        is6 = packet[0] >> 4 == 6
        family = socket.AF_INET6 if is6 else socket.AF_INET
        if not target:
            target = socket.inet_ntop(family, packet[24:40] if is6
                                      else packet[16:20])
        family = agent.family_of(target)
        with socket.socket(family, socket.SOCK_RAW,
                           socket.IPPROTO_RAW) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            scope = socket.if_nametoindex(device) \
                if target.startswith(("fe80", "ff02")) else 0
            return told(sock.sendto, packet, (target, 0, 0, scope)
                        if family == socket.AF_INET6 else (target, 0))

    def send_packet_to(self, device, packet, target):
        return self.send_packet(device, bytes.fromhex(packet), target)

    def open_tun(self, name, virtual=False, headed=False):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = IFF_TUN | (0 if headed else IFF_NO_PI) | \
            (IFF_VNET_HDR if virtual else 0)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(),
                                               flags))
        self.tuns[name] = fd

    def write_tun(self, name, packets):
        return [told(os.write, self.tuns[name], bytes.fromhex(packet))
                for packet in packets]

    # Sockets

    @staticmethod
    def socket_to(target, kind, protocol=0, device=None, source=None,
                  options=None):
        sock = socket.socket(agent.family_of(target), kind, protocol)
        if device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                            device.encode())
        if source:
            is6 = sock.family == socket.AF_INET6
            sock.setsockopt(socket.IPPROTO_IPV6 if is6 else socket.IPPROTO_IP,
                            IPV6_TRANSPARENT if is6 else IP_TRANSPARENT, 1)
            sock.bind((source, 0))
        if options:
            sock.setsockopt(socket.IPPROTO_IP, IP_OPTIONS,
                            bytes.fromhex(options))
        return sock

    def tcp(self, target, port, fastopen=None, **options):
        """fastopen: by a flag of sendto() or by a socket option."""
        with self.socket_to(target, socket.SOCK_STREAM, **options) as sock:
            sock.setblocking(False)
            # Gone without a word when closed.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
            if fastopen == "flag":
                return told(sock.sendto, MARK, MSG_FASTOPEN, (target, port))
            if fastopen == "option":
                sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
            answer = told(sock.connect, (target, port))
            if fastopen == "option" and answer == "sent":
                answer = told(sock.send, MARK)
            return "sent" if answer == "EINPROGRESS" else answer

    def udp(self, target, port, connected=False, size=None, segment=0,
            zerocopy=False, sendfile=False, protocol=0, **options):
        data = MARK * ((size or 8) // 8)
        with self.socket_to(target, socket.SOCK_DGRAM, protocol,
                            **options) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            if segment:
                sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, segment)
            if zerocopy:
                sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
            flags = MSG_ZEROCOPY if zerocopy else 0
            if not connected:
                return told(sock.sendto, data, flags, (target, port))
            answer = told(sock.connect, (target, port))
            if answer != "sent":
                return answer
            if sendfile:
                with tempfile.TemporaryFile() as file:
                    file.write(data)
                    file.flush()
                    return told(os.sendfile, sock.fileno(), file.fileno(), 0,
                                len(data))
            return told(sock.send, data, flags)

    def raw(self, target, protocol, payload=MARK.hex(), **options):
        with self.socket_to(target, socket.SOCK_RAW, protocol,
                            **options) as sock:
            return told(sock.sendto, bytes.fromhex(payload), (target, 0))

    def ping_socket(self, target, port=0, connected=False):
        """By a ping socket, which needs no privilege. It has no port."""
        is6 = ":" in target
        with self.socket_to(target, socket.SOCK_DGRAM,
                            socket.IPPROTO_ICMPV6 if is6
                            else socket.IPPROTO_ICMP) as sock:
            data = bytes([128 if is6 else 8]) + bytes(7) + MARK
            if not connected:
                return told(sock.sendto, data, (target, port))
            answer = told(sock.connect, (target, port))
            return told(sock.send, data) if answer == "sent" else answer

    def calls(self, program, what, target, port):
        done = subprocess.run([program, what, target, str(port)], text=True,
                              capture_output=True, timeout=20)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    # Sockets that are there before something changes

    def expect(self, path):
        """Opens the mailbox into which another process gives a socket."""
        self.mailbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.mailbox.bind(path)
        self.mailbox.settimeout(PATIENCE_S)

    def take(self, name):
        with self.mailbox:
            _, fds, _, _ = socket.recv_fds(self.mailbox, 16, 1)
        self.sockets[name] = socket.socket(fileno=fds[0])

    def give(self, name, path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(path)
            socket.send_fds(sock, [b"fd"], [self.sockets[name].fileno()])

    def make(self, name, family=4):
        self.sockets[name] = socket.socket(
            socket.AF_INET if family == 4 else socket.AF_INET6,
            socket.SOCK_DGRAM)

    def use(self, name, target, port):
        return told(self.sockets[name].sendto, MARK, (target, port))

    def push(self, name, size):
        """As much of a large write as a kept connection takes at once."""
        sock = self.sockets[name]
        sock.setblocking(False)
        return told(sock.send, MARK * (size // 8))


if __name__ == "__main__":
    calls.serve(Sender())
