# SPDX-License-Identifier: Apache-2.0
"""Each tracepoint of shared/runtime.def done once: exactly one event comes, and
every field of it is what was done. Functions of the kernel, which would tell some
of it before, are left out: they are test_runtime_function.py's. 32-bit calls
are test_runtime_compat.py's."""

import ctypes
import errno
import os
import socket
import struct
import time

import pytest

import dp_host
import runtime_host as rt
from runtime_host import text

LIBC = ctypes.CDLL(None, use_errno=True)
CWD = -100
BOOT = time.CLOCK_BOOTTIME


class Scene:
    """Where a row is done, and what has to come of it."""

    def __init__(self, stage, place):
        self.work = stage.work
        self.place = place
        self.file = place / "file"
        self.file.write_bytes(b"content!")
        self.other = place / "other"
        self.other.write_bytes(b"")
        self.expected = {"args": [0, 0, 0], "bytes": 0, "flags": 0}
        self.pid = None

    def fd(self, path=None, flags=os.O_RDWR):
        return self.work.do("open", text(path or self.file), flags, 0o600)

    def expect(self, **more):
        self.expected.update(more)


def known(path, flags=0):
    """A file that the kernel knows, while it is there."""
    st = os.stat(path)
    return {"path": os.fsencode(path), "flags": flags, "inode": st.st_ino,
            "dev": st.st_dev, "mode": st.st_mode, "on_disk": rt.on_disk(path)}


def passed(path, flags=rt.STRING):
    return {"path": os.fsencode(path), "flags": flags, "inode": 0, "dev": 0,
            "mode": 0, "on_disk": b""}


NOTHING = passed("", 0)


def opening(hook):
    def do(scene):
        new = scene.place / "new"
        calls = {
            "open": (text(new), os.O_CREAT | os.O_RDWR, 0o600),
            "creat": (text(new), 0o640),
            "openat": (CWD, text(new), os.O_CREAT | os.O_WRONLY, 0o604),
            "openat2": (CWD, text(new),
                        {"words": [os.O_CREAT | os.O_RDWR, 0o610, 0]}, 24),
            "open_by_handle_at": (CWD, text(handle(scene.file)), os.O_RDONLY),
        }
        result = scene.work.do(hook, *calls[hook])
        flags, mode = {"open": (0o102, 0o600), "creat": (0o1101, 0o640),
                       "openat": (0o101, 0o604), "openat2": (0o102, 0o610),
                       "open_by_handle_at": (0, 0)}[hook]
        made = scene.file if hook == "open_by_handle_at" else new
        scene.expect(args=[flags, mode, 0])
        if result >= 0:
            scene.expect(file=known(made))
        else:
            # Not every file system finds a file by its handle.
            assert hook == "open_by_handle_at"
        return result
    return do


def handle(path):
    """struct file_handle with room for what any file system needs."""
    buffer = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136)
    mount = ctypes.c_int()
    assert LIBC.name_to_handle_at(CWD, os.fsencode(path), buffer,
                                  ctypes.byref(mount), 0) == 0
    return buffer.raw[:8 + struct.unpack_from("=I", buffer.raw)[0]]


# Requests of io_uring that not every kernel has, and the first that has them.
RING_SINCE = {55: (6, 9), 56: (6, 11), 60: (6, 15), 61: (6, 15)}


def version():
    return tuple(map(int, os.uname().release.split(".")[:2]))


def requested(scene, opcode, *rest):
    since = RING_SINCE.get(opcode, (0, 0))
    if version() < since:
        pytest.skip("rings have no request %d before Linux %d.%d" % (
            opcode, *since))
    return completed(scene, scene.work.do("ring", opcode, *rest))


def completed(scene, result):
    if result in (-errno.ENOSYS, -errno.EPERM):
        pytest.skip("no io_uring here")
    scene.expect(flags=scene.expected["flags"] | rt.IO_URING)
    return result


def ring_open(scene, opcode):
    """A new file, which only a worker of the ring's may make, or one that is
    there."""
    new = scene.file if opcode == "old" else scene.place / "new"
    flags = os.O_RDWR if opcode == "old" else os.O_CREAT | os.O_WRONLY
    mode = 0 if opcode == "old" else 0o604
    request = (28, CWD, text(new), 24, {"words": [flags, mode, 0]}) \
        if opcode == "openat2" else (18, CWD, text(new), mode, 0, flags)
    result = requested(scene, *request)
    assert result >= 0
    scene.expect(args=[flags, mode, 0], file=known(new))
    return result


def ring_access(scene, opcode):
    fd, (read_end, write_end) = scene.fd(), scene.work.do("pipe")
    scene.work.do("write", write_end, {"room": 8}, 5)
    room, vector = {"room": 5}, {"vector": 5}
    requests = {"read": (22, fd, room, 5), "readv": (1, fd, vector, 1),
                "read_fixed": (4, fd, room, 5), "readv_fixed": (60, fd, vector, 1),
                "write": (23, fd, room, 5), "writev": (2, fd, vector, 1),
                "write_fixed": (5, fd, room, 5),
                "writev_fixed": (61, fd, vector, 1),
                "splice from": (30, write_end, -1, 5, -1, 0, fd),
                "splice to": (30, fd, -1, 5, -1, 0, read_end)}
    result = requested(scene, *requests[opcode])
    scene.expect(file=known(scene.file), bytes=5,
                 flags=scene.expected["flags"] | rt.FIRST)
    return result


def ring_size(scene, opcode):
    requests = {"fallocate": (17, scene.fd(), 100),
                "ftruncate": (55, scene.fd(), 0, 0, 3)}
    result = requested(scene, *requests[opcode])
    scene.expect(file=known(scene.file))
    return result


def ring_connect(scene, way):
    """To a port where somebody listens, or nobody does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if way == "heard":
            server.listen()
        fd = scene.work.do("socket")
        address = server.getsockname()
        result = requested(scene, 16, fd, sockaddr(address), 0, 16)
        scene.expect(remote=address, local=("127.0.0.1", ...))
        if way == "heard":
            client, peer = server.accept()
            client.close()
            scene.expect(local=peer)
    assert result == (0 if way == "heard" else -errno.ECONNREFUSED)
    return result


def ring_bind(scene, way):
    """To a port that is free, or is not."""
    fd = scene.work.do("socket", socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        address = other.getsockname()
        if way == "free":
            other.close()
        result = requested(scene, 56, fd, sockaddr(address), 0, 16)
    assert result == (0 if way == "free" else -errno.EADDRINUSE)
    scene.expect(local=address if way == "free" else ("0.0.0.0", 0),
                 protocol=socket.IPPROTO_UDP)
    return result


def ring_accept(scene, _):
    result, server, client = scene.work.do("accept", "ring")
    scene.expect(local=("127.0.0.1", server), remote=("127.0.0.1", client))
    return completed(scene, result)


# By the event, which has a row; the first of each is what that row does.
RINGS = [("FILE_OPEN", ring_open, "openat"), ("FILE_OPEN", ring_open, "openat2"),
         ("FILE_OPEN", ring_open, "old"),
         *[("FILE_READ", ring_access, name) for name in (
             "read", "readv", "read_fixed", "readv_fixed", "splice from")],
         *[("FILE_WRITE", ring_access, name) for name in (
             "write", "writev", "write_fixed", "writev_fixed", "splice to")],
         ("FILE_WRITE", ring_size, "fallocate"),
         ("FILE_WRITE", ring_size, "ftruncate"),
         ("NET_CONNECT", ring_connect, "heard"),
         ("NET_CONNECT", ring_connect, "refused"),
         ("NET_ACCEPT", ring_accept, "accept"),
         ("NET_BIND", ring_bind, "free"), ("NET_BIND", ring_bind, "taken")]


FIRSTS = [next(one for one in RINGS if one[0] == event)
          for event in dict(one[:2] for one in RINGS)]


def ring_scene(which):
    _, do, argument = which
    return lambda scene: do(scene, argument)


def reading(hook):
    def do(scene):
        fd, out = scene.fd(), scene.fd(scene.other)
        _, pipe = scene.work.do("pipe")
        calls = {
            "read": (fd, {"room": 64}, 5), "pread64": (fd, {"room": 64}, 5, 1),
            "readv": (fd, {"vector": 5}, 1),
            "preadv": (fd, {"vector": 5}, 1, 1),
            "preadv2": (fd, {"vector": 5}, 1, 1, 0, 0),
            "sendfile64": (out, fd, 0, 5), "splice": (fd, 0, pipe, 0, 5, 0),
            "copy_file_range": (fd, 0, out, 0, 5, 0),
        }
        scene.expect(file=known(scene.file), bytes=5, flags=rt.FIRST)
        return scene.work.do(hook, *calls[hook])
    return do


def writing(hook):
    def do(scene):
        fd, source = scene.fd(), scene.fd(scene.other)
        scene.other.write_bytes(b"source")
        read_end, write_end = scene.work.do("pipe")
        scene.work.do("write", write_end, {"room": 8}, 5)
        calls = {
            "write": (fd, {"room": 64}, 5), "pwrite64": (fd, {"room": 64}, 5, 1),
            "writev": (fd, {"vector": 5}, 1),
            "pwritev": (fd, {"vector": 5}, 1, 1),
            "pwritev2": (fd, {"vector": 5}, 1, 1, 0, 0),
            "sendfile64": (fd, source, 0, 5),
            "splice": (read_end, 0, fd, 0, 5, 0),
            "copy_file_range": (source, 0, fd, 0, 5, 0),
            "ftruncate": (fd, 3), "fallocate": (fd, 0, 0, 100),
            "mmap": (0, 4096, 3, 1, fd, 0), "truncate": (text(scene.file), 2),
        }
        result = scene.work.do(hook, *calls[hook])
        scene.expect(file=known(scene.file))
        if hook == "truncate":
            scene.expect(file=passed(scene.file))
        elif hook == "mmap":
            scene.expect(args=[3, 1, 0])
            result = 0
        elif result:
            scene.expect(bytes=5, flags=rt.FIRST)
        return result
    return do


def unlinking(hook):
    def do(scene):
        empty = scene.place / "empty"
        empty.mkdir()
        target = empty if hook == "rmdir" else scene.file
        scene.expect(file=passed(target))
        if hook == "unlinkat":
            scene.work.do("chdir", str(scene.place))
            return scene.work.do(hook, CWD, text("file"), 0)
        return scene.work.do(hook, text(target))
    return do


def renaming(hook):
    def do(scene):
        new = scene.place / "renamed"
        scene.expect(file=passed(scene.file), file2=passed(new))
        if hook == "rename":
            return scene.work.do(hook, text(scene.file), text(new))
        more = [1] if hook == "renameat2" else []
        scene.expect(args=[*more, 0, 0, 0][:3])
        return scene.work.do(hook, CWD, text(scene.file), CWD, text(new), *more)
    return do


def linking(hook):
    def do(scene):
        new = scene.place / "linked"
        source, target = text(scene.file), text(new)
        calls = {"link": (source, target),
                 "linkat": (CWD, source, CWD, target, 0),
                 "symlink": (source, target), "symlinkat": (source, CWD, target)}
        kind = rt.TEXT if hook.startswith("sym") else rt.STRING
        scene.expect(file=passed(scene.file, kind), file2=passed(new))
        return scene.work.do(hook, *calls[hook])
    return do


def changing(hook):
    def do(scene):
        values = [0o640] if "chmod" in hook else [7, 8]
        scene.expect(args=[*values, 0, 0][:3], file=passed(scene.file))
        if hook in ("fchmod", "fchown"):
            result = scene.work.do(hook, scene.fd(), *values)
            scene.expect(file=known(scene.file))
            return result
        first = [CWD] if "at" in hook else []
        return scene.work.do(hook, *first, text(scene.file), *values, 0)
    return do


def executing(scene):
    pid, status = scene.work.do("fork", {"calls": [
        ["execve", text("/bin/true"), {"words": [text("true"), 0]},
         {"words": [0]}]]})
    assert status == 0
    scene.pid = pid
    scene.expect(file=known(os.path.realpath("/bin/true")),
                 file2=passed("/bin/true"), comm=b"true", start=None)
    return 0


def failing(hook):
    def do(scene):
        missing = scene.place / "missing"
        first = [CWD] if hook == "execveat" else []
        scene.expect(file=passed(missing))
        return scene.work.do(hook, *first, text(missing), {"words": [0]},
                             {"words": [0]}, 0)
    return do


def forking(scene):
    pid, _ = scene.work.do("fork", {"calls": []})
    scene.expect(args=[pid, ..., 0])
    return 0


def exiting(scene):
    scene.pid, status = scene.work.do("fork", {"calls": [], "code": 7})
    assert status == 7 << 8
    scene.expect(args=[status, 0, 0], start=None)
    return 0


def sockaddr(address):
    return text(struct.pack("=H", socket.AF_INET) +
                struct.pack("!H", address[1]) + socket.inet_aton(address[0]) +
                bytes(8))


def connecting(scene):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        fd = scene.work.do("socket")
        result = scene.work.do("connect", fd, sockaddr(server.getsockname()), 16)
        client, peer = server.accept()
        client.close()
        scene.expect(local=peer, remote=server.getsockname())
    return result


def accepting(hook):
    def do(scene):
        result, server, client = scene.work.do("accept", hook)
        scene.expect(local=("127.0.0.1", server), remote=("127.0.0.1", client))
        return result
    return do


def binding(scene):
    fd = scene.work.do("socket", socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    scene.expect(local=address, protocol=socket.IPPROTO_UDP)
    return scene.work.do("bind", fd, sockaddr(address), 16)


def memfd(scene):
    fd = scene.work.do("memfd_create", text("nameless"), 1)
    st = os.stat(f"/proc/{scene.work.pid}/fd/{fd}")
    scene.expect(args=[1, 0, 0], file={
        "path": b"memfd:nameless", "flags": rt.MEMFD | rt.UNREACHABLE,
        "inode": st.st_ino, "dev": st.st_dev, "mode": st.st_mode,
        "on_disk": b""})
    return fd


def tracing(scene):
    scene.pid, _ = scene.work.do("fork", {"calls": [["ptrace", 0, 0, 0, 0]]})
    scene.expect(args=[0, 0, 0], start=None)
    return 0


def mounting(hook):
    def do(scene):
        target, second = scene.place / "mount", scene.place / "second"
        target.mkdir()
        second.mkdir()
        make = ("mount", text("source"), text(target), text("tmpfs"), 4, 0)
        if hook != "mount":
            dp_host.sh("mount", "-t", "tmpfs", "source", str(target))
        calls = {"mount": make, "umount": ("umount", text(target), 2),
                 "move_mount": ("move_mount", CWD, text(target), CWD,
                                text(second), 0)}
        scene.expect(file=passed(second if hook == "move_mount" else target))
        scene.expect(args=[{"mount": 4, "umount": 2}.get(hook, 0), 0, 0])
        if hook == "mount":
            scene.expect(file2=passed("source", rt.TEXT))
        if hook == "move_mount":
            scene.expect(file2=passed(target))
        try:
            return scene.work.do(*calls[hook])
        finally:
            dp_host.sh("umount", str(target), check=False)
            dp_host.sh("umount", str(second), check=False)
    return do


def loading(scene):
    code = struct.pack("=BBhiBBhi", 0xb7, 0, 0, 0, 0x95, 0, 0, 0)
    name = struct.unpack("=QQ", b"named_program\0\0\0")
    scene.expect(args=[1, 2, 0], file=passed("named_program", rt.TEXT))
    return scene.work.do("bpf", 5, {"words": [
        1 | 2 << 32, text(code), text("GPL"), 0, 0, 0, *name]}, 64)


def no_module(hook):
    def do(scene):
        if hook == "init_module":
            return scene.work.do(hook, {"room": 64}, 64, text(""))
        scene.expect(file=known(scene.file))
        return scene.work.do(hook, scene.fd(flags=os.O_RDONLY), text(""), 0)
    return do


FAMILIES = {"FILE_OPEN": opening, "FILE_READ": reading, "FILE_WRITE": writing,
            "FILE_UNLINK": unlinking, "FILE_RENAME": renaming,
            "FILE_LINK": linking, "FILE_CHMOD": changing,
            "FILE_CHOWN": changing, "NET_ACCEPT": accepting, "MOUNT": mounting}
SINGLE = {"sched_process_exec": executing, "execve": failing("execve"),
          "execveat": failing("execveat"), "sched_process_fork": forking,
          "sched_process_exit": exiting, "connect": connecting, "bind": binding,
          "memfd_create": memfd, "ptrace": tracing, "bpf": loading,
          "init_module": no_module("init_module"),
          "finit_module": no_module("finit_module")}


class Stage:
    def __init__(self, host, folder, *options):
        self.host = host
        self.tracefs = rt.mount_tracefs(folder / "tracefs")
        self.options = options
        self.begin()
        self.work = rt.Work(host)

    def begin(self):
        self.host.start("--tracefs", str(self.tracefs), *self.options,
                        small=rt.SMALL, limit_s=rt.START_S)
        self.peer = self.host.connect()
        self.runtime = rt.Runtime(self.peer)

    def restart(self):
        self.runtime.ring.close()
        self.host.stop()
        self.begin()

    def end(self):
        self.work.end()
        self.runtime.ring.close()
        self.host.stop()


def set_stage(tmp_path_factory, way, *options):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not dp_host.cgroup_root():
        pytest.skip("no cgroup2 mount of the whole tree")
    folder = tmp_path_factory.mktemp("table")
    host = dp_host.Host(folder)
    try:
        made = Stage(host, folder, "--runtime-way", way, *options)
        yield made
        made.end()
    finally:
        host.end()
        dp_host.sh("umount", str(folder / "tracefs"), check=False)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    yield from set_stage(tmp_path_factory, "tracepoint")


def check_file(file, expected):
    assert {"path": file.path, "flags": file.flags, "inode": file.inode,
            "dev": file.dev, "mode": file.mode,
            "on_disk": file.on_disk} == expected


def check_address(address, expected):
    if not expected:
        assert not address.family
        return
    assert address.family == 4
    assert socket.inet_ntoa(address.address) == expected[0]
    assert expected[1] in (..., address.port)


def check_thread(record, scene):
    if record.tid == record.tgid:
        assert record.comm == scene.expected.get("comm", b"python3")
    else:
        # A worker of the ring's.
        assert record.flags & rt.IO_URING
        assert record.comm == b"iou-wrk-%d" % record.tgid


def check(record, scene, event, call, result, times):
    expected = scene.expected
    args = [rt.CALLS.index(call), *expected["args"]]
    assert [one for one, want in zip(record.args, args) if want is not ...] == \
        [want for want in args if want is not ...]
    assert (record.name, record.result) == (event, result)
    assert (record.count, record.bytes, record.flags) == \
        (1, expected["bytes"], expected["flags"])
    assert record.tgid == (scene.pid or scene.work.pid)
    check_thread(record, scene)
    if expected.get("start", True):
        assert record.start // 10 ** 7 == scene.work.start
    assert (record.uid, record.gid) == expected.get("user", (0, 0))
    assert record.cgroup == scene.work.cgroup_id
    assert times[0] <= record.time <= times[1]
    check_file(record.file, expected.get("file", NOTHING))
    check_file(record.file2, expected.get("file2", NOTHING))
    check_address(record.local, expected.get("local"))
    check_address(record.remote, expected.get("remote"))
    assert record.arguments == b""


def find_scene(event, hook):
    if hook == "io_uring_complete":
        return ring_scene(next(one for one in FIRSTS if one[0] == event))
    return FAMILIES[event](hook) if event in FAMILIES else SINGLE.get(hook)


def rows_of(way):
    return pytest.mark.parametrize("row", [
        row for row, hook in enumerate(rt.HOOKS) if hook[1] == way],
        ids=lambda row: "-".join(rt.HOOKS[row][0:5:4]))


def watch(stage, event, do, scene):
    """What is told while something is done, what that returned, and when."""
    before = stage.runtime.counts(event)
    stage.runtime.set(rt.rule(event, cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    start = time.clock_gettime_ns(BOOT)
    result = do(scene)
    end = time.clock_gettime_ns(BOOT)
    stage.runtime.set()
    found = stage.runtime.events()
    after = stage.runtime.counts(event)
    assert after["generated"] - before["generated"] == len(found)
    assert after["sent"] - before["sent"] == len(found)
    return found, result, (start, end)


def see(stage, place, event, do, call):
    scene = Scene(stage, place)
    found, result, times = watch(stage, event, do, scene)
    assert len(found) == 1, found
    check(found[0], scene, event, call, result, times)


@rows_of("TRACEPOINT")
def test_each_row_is_seen_once_with_every_field(stage, tmp_path, row):
    event, _, program, _, name, call, _ = rt.HOOKS[row]
    error = rt.program_error(stage.peer, program)
    assert error in (0, errno.ENOENT), f"{program}: {os.strerror(error)}"
    if error or row in rt.missing(stage.peer):
        pytest.skip(f"this kernel has no {name}")
    if name == "module_load":
        pytest.skip("there is no module to load")
    do = find_scene(event, name)
    assert do, "every row of the table is done here"
    see(stage, tmp_path, event, do, call)


@pytest.mark.parametrize("which", [one for one in RINGS if one not in FIRSTS],
                         ids=lambda one: f"{one[0]}-{one[2]}")
def test_each_request_of_a_ring_is_seen_once_with_every_field(stage, tmp_path,
                                                              which):
    see(stage, tmp_path, which[0], ring_scene(which), "IO_URING")


def test_sizes_are_events_each_time_and_accesses_are_summed(stage, tmp_path):
    scene = Scene(stage, tmp_path)
    fd = scene.fd()
    stage.runtime.set(rt.rule("FILE_WRITE", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    for _ in range(3):
        assert requested(scene, 17, fd, 100) == 0
        assert requested(scene, 23, fd, {"room": 5}, 5) == 5
    assert sorted((one.bytes, one.count, one.flags)
                  for one in stage.runtime.events()) == [
        *[(0, 1, rt.IO_URING)] * 3, (5, 1, rt.IO_URING | rt.FIRST)]
    stage.runtime.flush()
    assert [(one.bytes, one.count, one.flags)
            for one in stage.runtime.events()] == [
        (10, 2, rt.SUMMED | rt.IO_URING)]


def test_names_that_a_ring_changes_are_not_seen_as_the_table_says(stage,
                                                                  tmp_path):
    scene = Scene(stage, tmp_path)
    one, two, three, missing = [text(tmp_path / name) for name in (
        "file", "two", "three", "missing")]
    stage.runtime.set(rt.rule("FILE_OPEN", "FILE_UNLINK", "FILE_RENAME",
                              "FILE_LINK", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    requests = [(39, CWD, one, CWD % 2 ** 32, two), (38, CWD, one, 0, three),
                (35, CWD, two, CWD % 2 ** 32, three), (36, CWD, three),
                (18, CWD, missing)]
    assert [requested(scene, *request) for request in requests] == [
        0, 0, 0, 0, -errno.ENOENT]
    assert not stage.runtime.events()
    assert {hook[6] for hook in rt.HOOKS if hook[1] == "TRACEPOINT" and hook[0] in
            ("FILE_UNLINK", "FILE_RENAME", "FILE_LINK")} == {"NAME"}
