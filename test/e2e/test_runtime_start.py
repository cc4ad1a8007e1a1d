# SPDX-License-Identifier: Apache-2.0
"""Starts of sentinel-dp with runtime events that cannot be had as they were:
they never cost the egress policy anything."""

import ctypes
import errno
import json
import os
import resource
import struct

import dp_client as dp
import dp_host
import runtime_host as rt
from dp_host import bare  # noqa: F401
from runtime_host import runtime, traced  # noqa: F401

SET_BPF = 0x40042408
OTHER = bytes(16 * [7])


def test_egress_goes_on_when_the_runtime_maps_do_not_fit(runtime, traced):  # noqa: F811
    runtime.peer.attach(OTHER, dp.TC, ifindex=traced.index())
    runtime.set(rt.rule("FILE_UNLINK"))
    traced.stop()
    traced.start(*traced.options, "--runtime-sums", "128", small=rt.SMALL,
                 limit_s=rt.START_S)
    peer = traced.connect()
    row, = peer.list()
    assert row["type"] == dp.TC
    assert "runtime-anew" in traced.log.read_text()
    assert not [name for name in traced.links() if "sn_rt" in name]
    again = rt.Runtime(peer)
    again.set(rt.rule("FILE_UNLINK"))
    assert [name for name in traced.links() if "sn_rt" in name]


def test_egress_goes_on_over_pins_that_are_not_whole(runtime, traced):  # noqa: F811
    runtime.peer.attach(OTHER, dp.TC, ifindex=traced.index())
    runtime.set(rt.rule("FILE_UNLINK"))
    traced.stop()
    (traced.bpffs / "sentinel/runtime_maps/sn_rt_ledger").unlink()
    traced.start(*traced.options, small=rt.SMALL, limit_s=rt.START_S)
    assert [row["type"] for row in traced.connect().list()] == [dp.TC]


def load_program():
    """r0 = 1; exit"""
    code = ctypes.create_string_buffer(struct.pack(
        "=BBhiBBhi", 0xb7, 0, 0, 1, 0x95, 0, 0, 0))
    name = ctypes.create_string_buffer(b"GPL")
    attributes = ctypes.create_string_buffer(struct.pack(
        "=IIQQ", 5, 2, ctypes.addressof(code), ctypes.addressof(name)), 128)
    fd = dp_host.LIBC.syscall(321, 5, attributes, 128)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd


def fill_tracepoint(identifier):
    """With as many programs as the kernel lets be on one."""
    held = []
    while True:
        held += [rt.open_event(identifier), load_program()]
        if dp_host.LIBC.ioctl(held[-2], SET_BPF, held[-1]) < 0:
            assert ctypes.get_errno() == errno.E2BIG
            return held


def test_egress_is_taken_over_when_a_hook_of_the_host_is_not(runtime, traced,  # noqa: F811
                                                             tmp_path):
    runtime.peer.attach(OTHER, dp.TC, ifindex=traced.index())
    runtime.set(rt.rule("FILE_UNLINK"))
    link, = [name for name in traced.links() if "rmdir" in name]
    traced.stop()
    (traced.bpffs / "sentinel/links" / link).unlink()
    held = fill_tracepoint(rt.find_identifier(tmp_path))
    traced.start(*traced.options, small=rt.SMALL, limit_s=rt.START_S)
    assert {(row["type"], row["position"]) for row in
            traced.connect().list()} == {(dp.TC, 0), (dp.WHOLE_HOST, -3)}
    assert "hooks-missing" in traced.log.read_text()
    for fd in held:
        os.close(fd)


def test_host_that_was_forgotten_halfway_can_be_attached(runtime, traced):  # noqa: F811
    """A start without --runtime died after it had given the slot back."""
    traced.stop()
    targets = str(traced.bpffs / "sentinel/maps/sn_targets")
    key = [str(byte) for byte in struct.pack("=I", runtime.slot)]
    value = dp_host.sh("bpftool", "-j", "map", "lookup", "pinned", targets,
                       "key", *key).stdout
    value = json.loads(value)["value"]
    value[36] = "0x03"  # sn_target.state: DIRTY
    dp_host.sh("bpftool", "map", "update", "pinned", targets, "key", *key,
               "value", *value)
    traced.start(*traced.options, small=rt.SMALL, limit_s=rt.START_S)
    peer = traced.connect()
    assert not peer.list()
    assert rt.Runtime(peer).slot


# struct bpf_attr begins with the type of a program; 31: BPF_PROG_TYPE_SYSCALL.
REFUSES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>

long syscall(long number, ...)
{
	long (*real)(long, ...) =
		(long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	long words[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		words[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_bpf && words[0] == 5 && *(int *)words[1] == 31) {
		errno = EINVAL;
		return -1;
	}
	return real(number, words[0], words[1], words[2], words[3], words[4],
		    words[5]);
}
"""


def test_nothing_is_summed_that_no_program_would_send(bare, tmp_path):  # noqa: F811
    (tmp_path / "refuses.c").write_text(REFUSES)
    library = tmp_path / "refuses.so"
    dp_host.sh("cc", "-shared", "-fPIC", "-o", str(library),
               str(tmp_path / "refuses.c"), "-ldl")
    folder = rt.mount_tracefs(tmp_path / "tracefs")
    bare.start("--tracefs", str(folder), small=rt.SMALL,
               limit_s=rt.START_S,
               env={**os.environ, "LD_PRELOAD": str(library)})
    runtime = rt.Runtime(bare.connect())  # noqa: F811
    assert rt.program_error(runtime.peer, "RT_FLUSH") == errno.EINVAL
    work = rt.Work(bare)
    fd = work.do("open", rt.text(tmp_path / "file"), os.O_CREAT | os.O_RDWR,
                 0o600)
    runtime.set(rt.rule("FILE_WRITE", cgroup=[work.cgroup_id]))
    assert work.do("repeat", 10, [["write", fd, {"room": 8}, 3]]) == 10
    runtime.flush()
    found = runtime.events()
    assert [(one.count, one.bytes, one.flags) for one in found] == [(1, 3, 0)] * 10
    work.end()
    bare.stop()
    dp_host.sh("umount", str(folder))


def test_position_is_unknown_while_pins_cannot_be_opened(runtime, traced):  # noqa: F811
    peer = runtime.peer
    peer.attach(OTHER, dp.TC, ifindex=traced.index())
    runtime.set(rt.rule("FILE_UNLINK"))
    pid = traced.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    assert {(row["type"], row["position"]) for row in peer.list()} == \
        {(dp.TC, -1), (dp.WHOLE_HOST, -1)}
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert {row["position"] for row in peer.list()} == {0}
