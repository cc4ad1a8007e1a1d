# SPDX-License-Identifier: Apache-2.0
"""Runtime events for tests of sentinel-dp alone: rules, the ring and the ledger
as a peer of its socket sees them, packed by hand from shared/abi_runtime.h."""

import ctypes
import mmap
import os
import re
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

import bpf_calls
import dp_client as dp
import dp_host
from runtime_worker import COMMAND, Worker, text

DEFINITIONS = (dp.ROOT / "shared/runtime.def").read_text()
EVENTS = [None] + re.findall(r"^SN_RT_EVENT\((\w+)", DEFINITIONS, re.M)
CALLS = re.findall(r"^SN_RT_CALL\((\w+)", DEFINITIONS, re.M)
HOOKS = [tuple(re.split(r",\s*", row)) for row in
         re.findall(r"^SN_RT_HOOK\(([^)]*)\)", DEFINITIONS, re.M)]
LIMITS = dict(re.findall(r'^SN_RT_LIMIT\((\w+), "(.*)"\)$', DEFINITIONS, re.M))
FIELDS = ("EVENT", "RESULT", "UID", "COMM", "CGROUP", "EXE", "EXE_PATH",
          "DEVINO", "PATH")
EVENT, PROCESS = 1, 2
FIRST, SUMMED, UNSURE, COMPAT, IO_URING, ARGUMENTS_CUT = 1, 2, 4, 8, 16, 32
CUT, STRING, UNREACHABLE, DELETED, MEMFD, TEXT = 1, 2, 4, 8, 16, 32
ARGUMENTS = 1
LEDGER = ("generated", "sent", "over_budget", "ring_full", "failed", "summed")
RING_BYTES = 1 << 24
START_S = 120  # an emulated machine has to verify many programs
SMALL = [*dp_host.SMALL, "--runtime", "--runtime-ring-bytes", str(RING_BYTES),
         "--runtime-match", "4096", "--runtime-sums", "64",
         "--runtime-subjects", "1024"]

KEY = struct.Struct("=IIBB6xQQ")
SETTINGS_KEY = struct.Struct("=II")
SETTINGS = struct.Struct("=IIIIIIQQ64s8x")
RECORD = struct.Struct("=IBBHIIQQQIIIIQqQQ4Q16s32s32s20s20s")
FILE = struct.Struct("=QIIIIHHH2x")
ADDRESS = struct.Struct("=16s2sBB")


def fnv(prefix):
    value = 0xcbf29ce484222325
    for byte in prefix:
        value = (value ^ byte) * 0x100000001b3 % 2 ** 64
    return value


def prefix_value(path):
    path = os.fsencode(path).rstrip(b"/")
    return fnv(path), len(path)


def comm_value(name):
    return struct.unpack("=QQ", os.fsencode(name)[:15].ljust(16, b"\0"))


class Rule(dict):
    """Field: list of values (one or two numbers each)."""


def rule(*events, path=(), exe_path=(), comm=(), uid=(), cgroup=(), devino=(),
         exe=(), result=()):
    made = Rule(EVENT=[(EVENTS.index(name), 0) for name in events])
    given = {"PATH": [prefix_value(one) for one in path],
             "EXE_PATH": [prefix_value(one) for one in exe_path],
             "COMM": [comm_value(one) for one in comm],
             "UID": [(one, 0) for one in uid],
             "CGROUP": [(one, 0) for one in cgroup],
             "DEVINO": list(devino), "EXE": list(exe),
             "RESULT": [(one, 0) for one in result]}
    made.update((name, values) for name, values in given.items() if values)
    return made


def device(path):
    st = os.stat(path)
    return os.major(st.st_dev) << 32 | os.minor(st.st_dev), st.st_ino


class File:
    def __init__(self, packed, take):
        (self.inode, self.major, self.minor, self.mode, self.flags, n_path,
         inside, n_base) = FILE.unpack(packed)
        self.path = take(n_path)
        self.base = take(n_base)
        self.inside = self.path[n_path - inside:]

    @property
    def on_disk(self):
        """From the root of its file system."""
        return self.base + self.inside

    @property
    def dev(self):
        return os.makedev(self.major, self.minor)


class Address:
    def __init__(self, packed):
        address, port, self.family, self.protocol = ADDRESS.unpack(packed)
        self.port = int.from_bytes(port, "big")
        self.address = address[:4] if self.family == 4 else address


class Record:
    def __init__(self, data):
        (self.size, self.kind, self.event, n_arguments, self.flags, self.cpu,
         self.time, self.word, self.start, self.tgid, self.tid, self.uid,
         self.gid, self.cgroup, self.result, self.count, self.bytes,
         *rest) = RECORD.unpack_from(data)
        self.args = rest[:4]
        self.comm = rest[4].split(b"\0")[0]
        at = RECORD.size

        def take(count):
            nonlocal at
            at += count
            return bytes(data[at - count:at])

        self.file = File(rest[5], take)
        self.file2 = File(rest[6], take)
        self.arguments = take(n_arguments)
        self.local, self.remote = Address(rest[7]), Address(rest[8])
        assert self.size == len(data) == (at + 7) // 8 * 8
        self.name = EVENTS[self.event]

    def __repr__(self):
        return (f"<{self.name} {self.comm} tgid={self.tgid} "
                f"result={self.result} count={self.count} args={self.args} "
                f"path={self.file.path[-80:]} path2={self.file2.path[-80:]} "
                f"flags={self.flags}/{self.file.flags}/{self.file2.flags}>")


class Ring:
    """Layout: kernel/bpf/ringbuf.c, as in shared/ring.c."""

    def __init__(self, fd, size):
        page = mmap.PAGESIZE
        self.size = size
        self.consumer = mmap.mmap(fd, page, mmap.MAP_SHARED)
        self.rest = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED,
                              mmap.PROT_READ, offset=page)

    def read(self):
        at, = struct.unpack_from("=Q", self.consumer)
        end, = struct.unpack_from("=Q", self.rest)
        found = []
        while at < end:
            where = mmap.PAGESIZE + at % self.size
            header, = struct.unpack_from("=I", self.rest, where)
            size = header & 0x3fffffff
            if header & 0x80000000:
                break
            if not header & 0x40000000:
                found.append(Record(self.rest[where + 8:where + 8 + size]))
            at += (size + 15) // 8 * 8
            struct.pack_into("=Q", self.consumer, 0, at)
        return found

    def close(self):
        self.consumer.close()
        self.rest.close()


class Runtime:
    """The host attached at one sentinel-dp, with rules of this test."""

    def __init__(self, peer, identity=dp_host.ID):
        self.peer = peer
        self.identity = identity
        self.generation = 0
        self.epoch = 1
        self.seen = []
        answer = peer.call("FDS", bytes(8))
        n_fds, _, self.n_cpus, _, size = struct.unpack_from("=5I", answer.body)
        assert n_fds == len(answer.fds) and size
        self.ring = Ring(answer.fds[-2], size)
        self.ledger = mmap.mmap(answer.fds[-1], 0x1000 * (
            (32 * self.n_cpus * 64 + 4095) // 4096), mmap.MAP_SHARED,
            mmap.PROT_READ)
        for fd in answer.fds:
            os.close(fd)
        found = [row for row in peer.list() if row["type"] == dp.WHOLE_HOST]
        if found:
            self.slot = found[0]["slot"]
            self.generation = found[0]["generation"]
        else:
            self.slot = peer.attach(identity, dp.WHOLE_HOST, role=0,
                                    quota=0)["slot"]

    def rows(self, rules, generation):
        """Rows of sn_rt_match, and the mask of fields."""
        table, used = {}, 0
        for number, one in enumerate(rules):
            for field, name in enumerate(FIELDS, 1):
                if name in one and name != "EVENT":
                    used |= 1 << field
        for number, one in enumerate(rules):
            for field, name in enumerate(FIELDS, 1):
                if name != "EVENT" and not used >> field & 1:
                    continue
                values = [(0, *value) for value in one.get(name, ())]
                for value in values or [(1, 0, 0)]:
                    table.setdefault((field, *value), 0)
                    table[(field, *value)] |= 1 << number
        return [KEY.pack(self.slot, generation, field, kind, *value) +
                bits.to_bytes(128, "little")
                for (field, kind, *value), bits in table.items()], used

    def settings(self, rules, generation, used, flags, budget, left_out):
        def longest(name):
            return max((value[1] for one in rules for value in
                        one.get(name, ())), default=0)
        entries = b"".join(struct.pack("=IIQ", tgid, 0, start)
                           for tgid, start in left_out)
        interval, records = budget
        return SETTINGS_KEY.pack(self.slot, generation) + SETTINGS.pack(
            self.epoch, used, 16, flags, longest("PATH"), longest("EXE_PATH"),
            interval, interval * records, entries)

    def set(self, *rules, flags=0, budget=(0, 0), left_out=()):
        """Exchanges the rules as a whole."""
        old, new = self.generation, self.generation + 1
        rows, used = self.rows(rules, new)
        for at in range(0, len(rows), 256):
            self.peer.put("RT_MATCH", self.slot, new, rows[at:at + 256])
        self.peer.put("RT_SETTINGS", self.slot, new, [self.settings(
            rules, new, used, flags, budget, left_out)])
        events = 0
        for one in rules:
            for value, _ in one["EVENT"]:
                events |= 1 << value
        self.peer.flip(self.slot, struct.pack("=I16x4xQ", new, events))
        self.generation = new
        if old:
            self.peer.sweep("RT_MATCH", self.slot, old)
            self.peer.sweep("RT_SETTINGS", self.slot, old)

    def flush(self):
        return self.peer.sweep("RT_SUMS", self.slot)

    def read(self):
        found = self.ring.read()
        self.seen += found
        return found

    def events(self, kind=EVENT):
        return [one for one in self.read() if one.kind == kind]

    def wait(self, condition, what):
        """Reads on until something that was read is as wanted."""
        end = time.monotonic() + dp_host.LIMIT_S
        found = []
        while time.monotonic() < end:
            found += self.read()
            if condition(found):
                return found
            time.sleep(0.005)
        raise AssertionError(f"never: {what}; seen: {found[-5:]}")

    def counts(self, event=None):
        """Of one class, or of all."""
        total = dict.fromkeys(LEDGER, 0)
        first = EVENTS.index(event) if event else 0
        last = first + 1 if event else 32
        for row in range(first * self.n_cpus, last * self.n_cpus):
            numbers = struct.unpack_from("=6Q", self.ledger, row * 64)
            for name, number in zip(LEDGER, numbers):
                total[name] += number
        return total


def mount_tracefs(folder):
    folder.mkdir()
    dp_host.sh("mount", "-t", "tracefs", "tracefs", str(folder))
    return folder


@pytest.fixture
def traced(bare, tmp_path):
    """A sentinel-dp with --runtime, and what it needs."""
    folder = mount_tracefs(tmp_path / "tracefs")
    bare.options = ["--tracefs", str(folder)]
    try:
        bare.start(*bare.options, small=SMALL, limit_s=START_S)
        yield bare
    finally:
        bare.stop()
        dp_host.sh("umount", str(folder))


@pytest.fixture
def runtime(traced):
    return Runtime(traced.connect())


def find_identifier(folder):
    return int((folder / "tracefs/events/syscalls/sys_exit_rmdir/id")
               .read_text())


def open_event(identifier):
    """A counter of a tracepoint, as perf(1) has it, for this thread."""
    attributes = struct.pack("=IIQQQQQ", 2, 64, identifier, 1, 0, 0, 1)
    fd = dp_host.LIBC.syscall(298, ctypes.create_string_buffer(
        attributes, 64), 0, -1, -1, 8)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd


def open_read(work, path):
    fd = work.do("open", text(path), os.O_RDONLY)
    if fd >= 0:
        work.do("close", fd)
    return fd


def paths(records):
    return [record.file.path for record in records]


class Work(Worker):
    """runtime_work.py in a cgroup of its own."""

    def __init__(self, host, name="work", user=None):
        self.cgroup = host.cgroup(name)
        self.cgroup_id = self.cgroup.stat().st_ino

        def enter():
            (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))
            if user:
                os.setresuid(user, user, user)
        super().__init__(COMMAND, preexec_fn=enter)
        self.start = start_ticks(self.pid)


def kept_links(host):
    """Of BTF tracepoints that no rule needs, which sentinel-dp still holds."""
    found = 0
    for one in Path(f"/proc/{host.process.pid}/fdinfo").iterdir():
        try:
            found += "link_type:\traw_tracepoint" in one.read_text()
        except FileNotFoundError:
            pass
    return found


def programs_on_hooks(host):
    return {bpf_calls.pinned_program(host.bpffs / "sentinel/links" / name)
            for name in host.links()}


def exchange_version(host, options, do):
    """What an operator does where the programs are of another ABI version. What
    is done meanwhile, one event, is told as before. Returns the new one's peer."""
    before, programs = host.links(), programs_on_hooks(host)
    n_links = len(bpf_calls.on_hooks(programs))
    pins = host.bpffs / "sentinel"
    host.stop()
    bpf_calls.put_begin(pins / "maps/sn_meta", struct.pack("=I", dp.ABI - 1), 48)
    refuses = subprocess.run(host.command(*options, small=SMALL), text=True,
                             capture_output=True, check=False, timeout=START_S)
    assert refuses.returncode == 1
    assert f"pins have ABI version {dp.ABI - 1}, this is {dp.ABI}: " \
        "detach everything with their version and remove " \
        f"{pins}" in refuses.stderr, refuses.stderr
    assert host.links() == before
    assert len(bpf_calls.on_hooks(programs)) == n_links
    do()
    # The version that made them:
    bpf_calls.put_begin(pins / "maps/sn_meta", struct.pack("=I", dp.ABI), 48)
    host.start(*options, small=SMALL, limit_s=START_S)
    old = Runtime(host.connect())
    assert len(old.events()) == 1
    old.peer.detach(old.identity, old.slot)
    assert not host.links()
    host.stop()
    dp_host.sh("rm", "-r", str(pins))
    dp_host.wait_for(lambda: not bpf_calls.on_hooks(programs),
                     "the kernel has ended them")
    host.start(*options, small=SMALL, limit_s=START_S)
    peer = host.connect()
    assert not peer.list() and not host.links()
    return peer


def missing(peer):
    """Rows of SN_RT_HOOK that this kernel has no tracepoint for."""
    low, high = struct.unpack_from("=QQ", peer.greeting.body,
                                   dp.HOOKS_OFFSET)
    return {row for row in range(128) if (low | high << 64) >> row & 1}


def program_error(peer, name):
    programs = re.findall(r"^SN_PROGRAM\((\w+)",
                          (dp.ROOT / "shared/programs.def").read_text(), re.M)
    return struct.unpack_from("=i", peer.greeting.body,
                              dp.PROGRAMS_OFFSET +
                              4 * programs.index(name))[0]


def on_disk(path):
    """Its path from the root of its file system, by this process' mounts."""
    path, best = os.fsencode(path), None
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        root, point = line.split(b" ")[3:5]
        inside = path == point or path.startswith(point.rstrip(b"/") + b"/")
        if inside and (best is None or len(point) >= len(best[1])):
            best = root, point
    root, point = best
    return root.rstrip(b"/") + path[len(point.rstrip(b"/")):]


def start_ticks(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
               .split()[19])


@pytest.fixture
def works(traced):
    """Makes processes, each in its cgroup."""
    if not dp_host.cgroup_root():
        pytest.skip("no cgroup2 mount of the whole tree")
    made = []

    def make(name):
        made.append(Work(traced, name))
        return made[-1]
    yield make
    for one in made:
        one.end()


@pytest.fixture
def work(works):
    return works("work")


def read_during(runtime, doing, meanwhile=lambda: None):
    """Reads the ring while something is done; what that returned."""
    done = []
    thread = threading.Thread(target=lambda: done.append(doing()))
    thread.start()
    while thread.is_alive():
        meanwhile()
        runtime.read()
    thread.join()
    runtime.read()
    return done[0]
