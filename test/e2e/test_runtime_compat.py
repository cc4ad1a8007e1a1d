# SPDX-License-Identifier: Apache-2.0
"""Rows of shared/runtime.def for 32-bit programs: each call that tells an event,
made by int 0x80, tells it as the call of 64 bits does."""

import errno
import os
import platform
import signal
import socket
import struct

import pytest

import runtime_host as rt
import test_runtime_table as table
from dp_host import bare  # noqa: F401 (fixture)
from runtime_host import text, traced, work, works  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64",
                                reason="32-bit callers are seen on x86-64 only")

OPTION = "--runtime-compat"
PTRACE_ATTACH = 16
CONNECT = 3  # of socketcall
# Calls of 32 bits that mean what the one of 64 bits does; else one of its name.
OTHERS = {"accept": ["accept1"], "accept4": ["accept4", "accept41"],
          "bind": ["bind", "bind1"], "connect": ["connect", "connect1"],
          "chown": ["chown", "chown16"], "lchown": ["lchown", "lchown16"],
          "fchown": ["fchown", "fchown16"], "umount": ["umount", "umount1"],
          "mmap": ["mmap", "mmap1"], "truncate": ["truncate", "truncate64"],
          "ftruncate": ["ftruncate", "ftruncate64"],
          "sendfile64": ["sendfile64", "sendfile32"]}


def calls_of(event):
    """(call of 64 bits, enum sn_rt_call, call of 32 bits)"""
    return [(name, call, other) for row in rt.HOOKS
            for name, call in [row[4:6]]
            if row[0] == event and row[3].startswith("SYSCALL")
            for other in OTHERS.get(name, [name])]


EVENTS = [row[0] for row in rt.HOOKS if row[1] == "COMPAT"]
CASES = [(event, *one) for event in EVENTS for one in calls_of(event)]


class Caller:
    """The process that works, with one call made as 32-bit programs do."""

    def __init__(self, work, name, other):
        self.work = work
        self.name = name
        self.other = f"i386:{other}"

    def __getattr__(self, name):
        return getattr(self.work, name)

    def replace(self, value):
        if isinstance(value, list):
            return [self.replace(one) for one in value]
        if isinstance(value, dict):
            return {key: self.replace(one) for key, one in value.items()}
        return self.other if value == self.name else value

    def do(self, *arguments):
        # What makes connections for it has the name of its call.
        first = [] if arguments[0] != "accept" else [arguments[0]]
        return self.work.do(*first, *self.replace(
            list(arguments[len(first):])))


def set_stage(tmp_path_factory, way):
    for made in table.set_stage(tmp_path_factory, way, OPTION):
        _, status = made.work.do("fork", {"calls": [["i386:getpid"]]})
        if status:
            made.end()
        if status == signal.SIGSEGV:
            pytest.skip("this kernel takes no 32-bit calls: int 0x80 kills")
        assert status == 0, "the call is not made"
        yield made


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    yield from set_stage(tmp_path_factory, "tracepoint")


@pytest.fixture(scope="module")
def best(tmp_path_factory):
    yield from set_stage(tmp_path_factory, "best")


def test_every_event_of_system_calls_is_done_here():
    assert EVENTS == list(dict.fromkeys(
        row[0] for row in rt.HOOKS if row[3].startswith("SYSCALL")))


def do_once(stage, tmp_path, event, name, other):
    """The one event that the call tells, what it returned, and when; and what is
    expected."""
    scene = table.Scene(stage, tmp_path)
    scene.work = Caller(stage.work, name, other)
    do = table.find_scene(event, name)
    found, result, times = table.watch(stage, event, do, scene)
    assert len(found) == 1, found
    scene.expect(flags=scene.expected["flags"] | rt.COMPAT)
    return found[0], result, times, scene


@pytest.mark.parametrize("event, name, call, other", CASES, ids=lambda one: one)
def test_each_call_is_seen_once_with_every_field(stage, tmp_path, event, name,
                                                 call, other):
    found, result, times, scene = do_once(stage, tmp_path, event, name, other)
    if other == "umount1":
        scene.expect(args=[0, 0, 0])
    table.check(found, scene, event, call, result, times)


@pytest.mark.parametrize("event, name, call, other", [
    case for case in CASES
    if any(row[:2] == (case[0], "FEXIT") for row in rt.HOOKS)],
    ids=lambda one: one)
def test_each_call_is_seen_once_beside_functions(best, tmp_path, event, name,
                                                 call, other):
    """By the function where there is one that tells it, else as above."""
    found, *_ = do_once(best, tmp_path, event, name, other)
    assert (found.name, found.flags & rt.COMPAT) == (event, rt.COMPAT)
    assert found.args[0] in (0, rt.CALLS.index(call))


@pytest.mark.parametrize("name", ("unlink", "rmdir", "chmod", "truncate"))
def test_failure_before_the_function_is_seen_once(best, tmp_path, name):
    event = {"unlink": "FILE_UNLINK", "rmdir": "FILE_UNLINK",
             "chmod": "FILE_CHMOD", "truncate": "FILE_WRITE"}[name]
    best.runtime.set(rt.rule(event, cgroup=[best.work.cgroup_id]))
    best.runtime.read()
    assert best.work.do(f"i386:{name}", text(tmp_path / "missing"), 0) == \
        -errno.ENOENT
    found, = best.runtime.events()
    assert (found.name, found.flags, found.result) == \
        (event, rt.COMPAT, -errno.ENOENT)
    assert found.args[0] == rt.CALLS.index(name.upper())


def test_owner_of_16_bits_that_stays_is_told_as_such(stage, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    stage.runtime.set(rt.rule("FILE_CHOWN", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    assert stage.work.do("i386:chown16", text(path), 0xffff, 8) == 0
    found, = stage.runtime.events()
    assert found.args[1:3] == [0xffffffff, 8]


def test_numbers_below_zero_are_told_as_of_64_bits(stage):
    stage.runtime.set(rt.rule("PTRACE", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    for name in ("ptrace", "i386:ptrace"):
        assert stage.work.do(name, PTRACE_ATTACH, -1, 0, 0) == -errno.ESRCH
    one, other = stage.runtime.events()
    assert (one.flags, other.flags) == (0, rt.COMPAT)
    assert one.args[1] == PTRACE_ATTACH
    assert one.args == other.args


def test_arguments_that_cannot_be_read_are_no_descriptor(stage):
    fd = stage.work.do("socket", socket.AF_INET, socket.SOCK_STREAM)
    stage.runtime.set(rt.rule("NET_CONNECT", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    nowhere = 1
    stage.work.do("fork", {"calls": [
        ["dup2", fd, 0], ["i386:socketcall", CONNECT, nowhere],
        ["i386:connect1", 0, {"room": 16}, 0]]})
    found, = stage.runtime.events()
    assert (found.flags, found.result) == (rt.COMPAT, -errno.EINVAL)
    stage.work.do("close", fd)


def test_sums_of_both_kinds_of_calls_are_apart(stage, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(64))
    fd = stage.work.do("open", text(path), os.O_RDONLY)
    stage.runtime.set(rt.rule("FILE_READ", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    for count, name in ((3, "read"), (4, "i386:read")):
        for _ in range(count):
            assert stage.work.do(name, fd, {"room": 8}, 5) == 5
    stage.runtime.flush()
    found = stage.runtime.events()
    assert sorted((one.flags, one.count) for one in found) == sorted([
        (rt.FIRST, 1), (rt.SUMMED, 2), (rt.FIRST | rt.COMPAT, 1),
        (rt.SUMMED | rt.COMPAT, 3)])
    stage.work.do("close", fd)


def program_of_32_bits(path):
    """Opens a file and ends with what that returned: 0 if it failed."""
    name = os.fsencode(path) + b"\0"
    base, head = 0x10000, 52 + 32
    code = (b"\xb8\x05\0\0\0" + b"\xbb" +
            struct.pack("=I", base + head + 32) + b"\x31\xc9\xcd\x80"
            b"\x85\xc0\x79\x02\x31\xc0\x93\x31\xc0\x40\xcd\x80")
    size = head + 32 + len(name)
    return struct.pack(
        "=16s2H5I6H8I", b"\x7fELF\1\1\1", 2, 3, 1, base + head, 52, 0, 0, 52,
        32, 1, 40, 0, 0, 1, 0, base, base, size, size, 5, 4096) + \
        code.ljust(32, b"\x90") + name


def test_32_bit_program_is_seen(stage, tmp_path):
    program, file = tmp_path / "program", tmp_path / "file"
    file.write_bytes(b"")
    program.write_bytes(program_of_32_bits(file))
    program.chmod(0o755)
    stage.runtime.set(rt.rule("FILE_OPEN", "PROCESS_EXEC", path=[tmp_path],
                              cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    pid, status = stage.work.do("fork", {"calls": [
        ["execve", text(program), {"words": [0]}, {"words": [0]}]]})
    assert os.waitstatus_to_exitcode(status) > 0
    execution, opening = stage.runtime.events()
    assert (execution.tgid, execution.name, execution.flags) == \
        (pid, "PROCESS_EXEC", 0)
    assert (opening.tgid, opening.name, opening.flags) == \
        (pid, "FILE_OPEN", rt.COMPAT)
    assert opening.comm == b"program"
    assert opening.file.path == os.fsencode(file)
    assert opening.result == os.waitstatus_to_exitcode(status)


def links(traced):  # noqa: F811
    return [name for name in traced.links() if "compat" in name]


def test_one_link_serves_the_events_that_are_wanted(traced):  # noqa: F811
    traced.stop()
    traced.start(*traced.options, OPTION, small=rt.SMALL, limit_s=rt.START_S)
    runtime = rt.Runtime(traced.connect())
    for events, count in ((("FILE_OPEN", "FILE_UNLINK"), 1),
                          (("FILE_UNLINK", "NET_BIND"), 1),
                          (("NET_BIND", "PROCESS_FORK"), 1),
                          (("PROCESS_FORK",), 0), (("MOUNT",), 1)):
        runtime.set(rt.rule(*events))
        assert len(links(traced)) == count
        assert {row["position"] for row in runtime.peer.list()} == {0}


def test_only_the_option_has_it_seen_and_a_restart_changes_that(traced, work,  # noqa: F811
                                                                tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    seen = []
    for options in ([], [OPTION], [OPTION], []):
        traced.stop()
        traced.start(*traced.options, *options, small=rt.SMALL,
                     limit_s=rt.START_S)
        runtime = rt.Runtime(traced.connect())
        runtime.set(rt.rule("FILE_UNLINK", cgroup=[work.cgroup_id]))
        runtime.read()
        assert rt.program_error(runtime.peer, "RT_COMPAT") == \
            (0 if options else errno.ECANCELED)
        assert bool(links(traced)) == bool(options)
        work.do("i386:rmdir", text(tmp_path / "missing"))
        work.do("rmdir", text(tmp_path / "missing"))
        seen.append([one.flags for one in runtime.events()])
    assert seen == [[0], [rt.COMPAT, 0], [rt.COMPAT, 0], [0]]
