# SPDX-License-Identifier: Apache-2.0
"""A host of its own for tests of sentinel-dp alone: network namespaces, bpffs,
cgroups, the daemon; and the fixtures over it."""

import ctypes
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import dp_client as dp

BUILD = Path(os.environ.get("SENTINEL_BUILD", dp.ROOT / "build"))
PROGRAM = BUILD / "sentinel-dp"
SMALL = ["--slots", "16", "--rules", "20000", "--prefixes", "20000", "--flows",
         "1024", "--flows-new", "1024", "--fragments", "256", "--denied",
         "256", "--events-bytes", "65536"]
ID = bytes(range(1, 17))
LIMIT_S = 20
LIBC = ctypes.CDLL(None, use_errno=True)


def sh(*command, check=True):
    return subprocess.run(command, text=True, capture_output=True, check=check)


def wait_for(condition, what, limit_s=LIMIT_S):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


def cgroup_root():
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if " - cgroup2 " in line and fields[3] == "/":
            return Path(fields[4])
    return None


class Host:
    """A network namespace with a workload behind a veth pair, a bpffs and the
    daemon in it."""

    def __init__(self, folder):
        self.folder = folder
        self.name = "dpt" + secrets.token_hex(4)
        self.inside = self.name + "w"
        self.bpffs = folder / "bpffs"
        self.run = folder / "run"
        self.log = folder / "log"
        self.process = None
        self.clients = []
        self.cgroups = []
        self.bpffs.mkdir()
        sh("mount", "-t", "bpf", "bpf", str(self.bpffs))
        sh("ip", "netns", "add", self.name)
        sh("ip", "netns", "add", self.inside)
        self.ip("link", "set", "lo", "up")
        self.add_veth("h0", "10.9.0.1/24", "10.9.0.2/24")
        # A refused ARP would go on being answered for by the kernel's cache.
        mac = self.ip("-o", "link", "show", "h0").stdout
        sh("ip", "-n", self.inside, "neighbour", "replace", "10.9.0.1", "dev",
           "wh0", "lladdr", re.search(r"link/ether (\S+)", mac).group(1))

    def ip(self, *words, check=True):
        return sh("ip", "-n", self.name, *words, check=check)

    def add_veth(self, name, outer, inner):
        self.ip("link", "add", name, "type", "veth", "peer", "name", "w" + name,
                "netns", self.inside)
        self.ip("address", "add", outer, "dev", name)
        self.ip("link", "set", name, "up")
        sh("ip", "-n", self.inside, "address", "add", inner, "dev", "w" + name)
        sh("ip", "-n", self.inside, "link", "set", "w" + name, "up")

    def index(self, name="h0"):
        return int(self.ip("-o", "link", "show", name).stdout.split(":")[0])

    def command(self, *options, small=SMALL, user="root"):
        return ["nsenter", f"--net=/run/netns/{self.name}", str(PROGRAM),
                "--run-dir", str(self.run), "--bpffs",
                str(self.bpffs / "sentinel"), "--peer-user", user, *small,
                *options]

    def start(self, *options, small=SMALL, user="root", cgroup=None,
              limit_s=LIMIT_S, env=None):
        def enter():
            if cgroup:
                (cgroup / "cgroup.procs").write_text(str(os.getpid()))

        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command(*options, small=small, user=user), stderr=log,
                env=env, preexec_fn=enter)
        wait_for(lambda: self.process.poll() is not None or self.connects(),
                 "dp listens", limit_s)
        assert self.process.poll() is None, self.log.read_text()[-2000:]

    def connects(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                probe.connect(str(self.run / "dp.sock"))
            except OSError:
                return False
        return True

    def stop(self, how=signal.SIGTERM):
        for client in self.clients:
            client.close()
        self.clients = []
        if self.process:
            self.process.send_signal(how)
            status = self.process.wait(LIMIT_S)
            self.process = None
            return status
        return None

    def connect(self, hello=True):
        """A peer; an earlier one's end may not have been seen yet."""
        def attempt():
            client = dp.Client(self.run / "dp.sock", hello=False)
            try:
                if hello:
                    client.hello()
            except dp.Closed:
                client.close()
                return None
            return client
        client = wait_for(attempt, "connected")
        self.clients.append(client)
        return client

    def restart(self, how=signal.SIGTERM, **more):
        self.stop(how)
        self.start(**more)
        return self.connect()

    def cgroup(self, name, parent=None):
        made = (parent or cgroup_root()) / (name if parent else
                                            f"{self.name}-{name}")
        made.mkdir()
        self.cgroups.append(made)
        return made

    def links(self):
        return sorted(os.listdir(self.bpffs / "sentinel" / "links"))

    def send(self, count=1):
        """UDP datagrams from the workload to the host; how many arrive."""
        with in_namespace(self.name), \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("10.9.0.1", 0))
            server.settimeout(0.5)
            with in_namespace(self.inside), \
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                for _ in range(count):
                    client.sendto(b"x", server.getsockname())
            arrived = 0
            try:
                while arrived < count:
                    server.recv(8)
                    arrived += 1
            except TimeoutError:
                pass
        return arrived

    def end(self):
        self.stop(signal.SIGKILL)
        for group in reversed(self.cgroups):
            if group.exists():
                group.rmdir()
        for name in (self.inside, self.name):
            sh("ip", "netns", "delete", name, check=False)
        sh("umount", str(self.bpffs), check=False)


class in_namespace:
    """Puts this thread into a network namespace for a while."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.enter(f"/run/netns/{self.name}")

    def __exit__(self, *_):
        set_namespace(self.before)
        os.close(self.before)

    @staticmethod
    def enter(path):
        fd = os.open(path, os.O_RDONLY)
        set_namespace(fd)
        os.close(fd)


def set_namespace(fd):
    if LIBC.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


@pytest.fixture
def bare(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made = Host(tmp_path)
    yield made
    made.end()


@pytest.fixture
def host(bare):
    bare.start()
    return bare


@pytest.fixture
def peer(host):
    return host.connect()


def refused(name, call, *args, **more):
    with pytest.raises(dp.Refused) as caught:
        call(*args, **more)
    assert str(caught.value) == name
    return caught.value


@pytest.fixture
def slot(host, peer):
    return peer.attach(ID, ifindex=host.index())["slot"]


def rows(slot, generation, count, **more):
    return [dp.rule_key(slot, generation, f"10.{i >> 8}.{i & 255}.1") +
            dp.value(dp.item(**more)) for i in range(count)]


@pytest.fixture
def tree(host):
    if not cgroup_root():
        pytest.skip("no cgroup2 mount of the whole tree")
    return host


def attach_directory(peer, path, identity=ID, flags=os.O_PATH, **more):
    fd = os.open(path, flags | os.O_DIRECTORY)
    try:
        return peer.attach(identity, dp.CGROUP, fd=fd, **more)
    finally:
        os.close(fd)


def run_in(group, code):
    """A python child in the cgroup; its output."""
    def enter():
        (group / "cgroup.procs").write_text(str(os.getpid()))
    return subprocess.run(["/usr/bin/python3", "-c", code], text=True,
                          capture_output=True, preexec_fn=enter, timeout=60,
                          check=False).stdout.strip()


CONNECT = """
import socket
s = socket.socket(); server = socket.socket()
server.bind(("127.0.0.1", 0)); server.listen()
try:
    s.connect(server.getsockname()); print("connected")
except PermissionError:
    print("refused")
"""


def check_whole(host, peer):
    """What is listed is attached, and nothing else is pinned."""
    found = peer.list()
    assert all(row["position"] == 0 for row in found)
    wanted = sum(2 if row["type"] == dp.TC else 12 for row in found)
    assert len(host.links()) == wanted
    return found
