# SPDX-License-Identifier: Apache-2.0
"""What runtime events may not cost others of the same tracepoints, nor a process
what it keeps to itself; and that what cannot be read of a call is left to the
reader instead of lost."""

import ctypes
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import dp_host
import runtime_host as rt
from dp_host import bare  # noqa: F401
from runtime_host import (read_during, runtime, text, traced,  # noqa: F401
                          work, works)
from test_runtime import deep, remove_deep

ENABLE = 0x2400


def test_others_on_the_same_tracepoint_still_see_it(runtime, traced,  # noqa: F811
                                                    tmp_path):
    runtime.set(rt.rule("FILE_UNLINK"))
    assert [name for name in traced.links() if "rmdir" in name]
    (tmp_path / "folder").mkdir()
    fd = rt.open_event(rt.find_identifier(tmp_path))
    assert dp_host.LIBC.ioctl(fd, ENABLE, 0) == 0
    os.rmdir(tmp_path / "folder")
    seen, = struct.unpack("=Q", os.read(fd, 8))
    os.close(fd)
    assert seen == 1


def test_executable_that_is_too_deep_is_left_to_the_reader(runtime, work,  # noqa: F811
                                                           tmp_path):
    deep(work, tmp_path / "deep", 5000)
    assert work.do("fork", {"calls": []})[1] == 0
    rules = rt.rule("FILE_OPEN", cgroup=[work.cgroup_id],
                    exe_path=["/nowhere"])
    # The file is made where the process stands.
    source = Path(f"/proc/{work.pid}/cwd/true")
    shutil.copy("/bin/true", source)
    source.chmod(0o755)
    runtime.set(rules)
    assert work.do("fork", {"calls": [["execve", text("true"),
                                       {"words": [text("true"), 0]},
                                       {"words": [0]}]]})[1] == 0
    found = runtime.events()
    assert found and all(one.flags & rt.UNSURE for one in found)
    remove_deep(tmp_path / "deep")


DENIED = """
import ctypes, os, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.prctl(15, b"unmaps", 0, 0, 0)
path = os.fsencode(sys.argv[1]) + b"\\0"
page = libc.mmap(None, 4096, 3, 0x22, -1, 0)
ctypes.memmove(page, path, len(path))
# FAN_CLASS_CONTENT; FAN_MARK_ADD, FAN_OPEN_PERM
asked = libc.fanotify_init(4, 0)
assert asked >= 0 and libc.fanotify_mark(asked, 1, ctypes.c_uint64(0x10000),
                                         -100, path) == 0
def deny():
    fd, = struct.unpack_from("=16xi", os.read(asked, 4096))
    libc.munmap(ctypes.c_void_p(page), 4096)
    os.write(asked, struct.pack("=iI", fd, 2))
thread = threading.Thread(target=deny)
thread.start()
result = libc.syscall(2, ctypes.c_void_p(page), 0)
assert result == -1 and ctypes.get_errno() == 1, (result, ctypes.get_errno())
thread.join()
"""


def test_string_that_is_gone_is_left_to_the_reader(runtime, tmp_path):  # noqa: F811
    """Taken back by a second thread while the kernel asks whether to open."""
    (tmp_path / "file").touch()
    runtime.set(rt.rule("FILE_OPEN", comm=["unmaps"], result=[1],
                        path=[tmp_path]))
    subprocess.run(["/usr/bin/python3", "-I", "-c", DENIED, tmp_path / "file"],
                   check=True)
    found, = runtime.events()
    assert found.result == -1
    assert found.flags & rt.UNSURE
    assert found.file.flags == rt.STRING | rt.CUT
    assert found.file.path == b""


def test_name_of_a_program_ends_where_it_has_to(runtime, work):  # noqa: F811
    """Behind its 16 bytes begins what is the process' own."""
    runtime.set(rt.rule("BPF_LOAD", cgroup=[work.cgroup_id]))
    attributes = struct.pack("=IIQQIIQII16s", 1, 1, 0, 0, 0, 0, 0, 0, 0,
                             b"n" * 16) + b"canary of the process"
    assert work.do("bpf", 5, text(attributes), len(attributes)) < 0
    found, = runtime.events()
    assert found.file.path + found.file2.path == b"n" * 15
    assert b"canary" not in runtime.ring.rest[:]


def change_sum(runtime, traced, change):  # noqa: F811
    """The one sum that there is; change: what becomes of its value."""
    row, = runtime.peer.get("RT_SUMS")
    pin = traced.bpffs / "sentinel/runtime_maps/sn_rt_sums"
    dp_host.sh("bpftool", "map", "update", "pinned", str(pin), "key",
               *map(str, row[:40]), "value", *map(str, change(row[40:])))


def test_sum_that_has_no_room_to_count_loses_nothing(runtime, traced, work,  # noqa: F811
                                                     tmp_path):
    fd = work.do("open", text(tmp_path / "file"), os.O_CREAT | os.O_RDWR, 0o600)
    runtime.set(rt.rule("FILE_WRITE", cgroup=[work.cgroup_id]))
    work.do("write", fd, {"room": 8}, 1)

    def fill(value):
        state, = struct.unpack_from("=Q", value)
        return struct.pack("=Q", state | 0xffffffff) + value[8:]
    change_sum(runtime, traced, fill)
    work.do("write", fd, {"room": 8}, 2)
    runtime.flush()
    records = runtime.events()
    assert sum(one.count for one in records) == 1 + 0xffffffff + 1


def test_sum_that_began_after_the_sending_did_stays(runtime, traced, work,  # noqa: F811
                                                    tmp_path):
    """As one that begins while others are sent."""
    fd = work.do("open", text(tmp_path / "file"), os.O_CREAT | os.O_RDWR, 0o600)
    runtime.set(rt.rule("FILE_WRITE", cgroup=[work.cgroup_id]))
    work.do("write", fd, {"room": 8}, 1)
    later = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 10 ** 12
    change_sum(runtime, traced, lambda value: value[:16] + struct.pack(
        "=Q", later) + value[24:])
    runtime.flush()
    work.do("write", fd, {"room": 8}, 2)
    runtime.flush()
    assert [(one.bytes, one.flags) for one in runtime.events()] == [
        (1, rt.FIRST), (2, rt.SUMMED)]


def test_sums_are_sent_when_the_host_is_detached(runtime, work, tmp_path):  # noqa: F811
    fd = work.do("open", text(tmp_path / "file"), os.O_CREAT | os.O_RDWR, 0o600)
    runtime.set(rt.rule("FILE_WRITE", cgroup=[work.cgroup_id]))
    assert work.do("repeat", 10, [["write", fd, {"room": 8}, 3]]) == 10
    runtime.peer.detach(runtime.identity, runtime.slot)
    assert sum(one.count for one in runtime.events()) == 10


RENAMES = """
import ctypes, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None)
names = [name.encode() for name in sys.argv[2:]]
libc.renameat2(-100, names[0], -100, names[1], 2)
print(flush=True)
while libc.renameat2(-100, names[0], -100, names[1], 2) == 0:
    pass
"""


def test_rename_during_the_walk_tells_no_memory_of_the_kernel(runtime, work,  # noqa: F811
                                                              tmp_path):
    """A name that is in the dentry itself, and a long one that is not."""
    folders = [tmp_path / name for name in ("s", "l" * 200)]
    for folder in folders:
        folder.mkdir()
    fd = work.do("open", text(folders[0]), os.O_RDONLY)
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    with subprocess.Popen(["/usr/bin/python3", "-I", "-c", RENAMES, tmp_path,
                           *(folder.name for folder in folders)],
                          stdout=subprocess.PIPE) as renames:
        assert renames.stdout.readline()
        read_during(runtime, lambda: work.do("repeat", 100000, [
            ["openat", fd, text("."), os.O_RDONLY]]))
        renames.kill()
    names = {os.path.basename(one.file.path) for one in runtime.seen if
             one.kind == rt.EVENT and not one.file.flags & rt.CUT}
    # The size of one with the bytes of the other can be, but not what is behind.
    assert {name.strip(b"l") for name in names} == {b"s", b""}
