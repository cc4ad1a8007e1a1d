# SPDX-License-Identifier: Apache-2.0
"""The host as a target of sentinel-dp: attached, detached, adopted, replaced, and
what is there without --runtime, without tracefs, or where the kernel gives
tracepoints to few."""

import json
import os
import signal
import struct
import threading
from pathlib import Path

import pytest

import bpf_calls
import dp_client as dp
import dp_host
import runtime_host as rt
from dp_host import bare, refused, wait_for  # noqa: F401
from runtime_host import (open_read, paths, runtime, text,  # noqa: F401
                          traced, work, works)


def test_host_is_attached_once_and_detached_whole(runtime, traced):  # noqa: F811
    peer = runtime.peer
    refused("EEXIST", peer.attach, bytes(16 * [9]), dp.WHOLE_HOST, role=0)
    runtime.set(rt.rule("FILE_OPEN", "PROCESS_EXEC"))
    row, = peer.list()
    assert (row["type"], row["position"]) == (dp.WHOLE_HOST, 0)
    assert traced.links()
    peer.detach(runtime.identity, runtime.slot)
    assert not traced.links()
    wait_for(lambda: peer.stats()["dirty"] == 0, "the slot is swept")
    assert not peer.get("RT_MATCH") and not peer.get("RT_SETTINGS")


def test_link_that_somebody_took_is_told(runtime, traced):  # noqa: F811
    runtime.set(rt.rule("FILE_UNLINK"))
    (traced.bpffs / "sentinel" / "links" / traced.links()[0]).unlink()
    row, = runtime.peer.list()
    assert row["position"] == -3


def test_host_policy_has_events_and_nothing_else(runtime):  # noqa: F811
    peer, slot = runtime.peer, runtime.slot
    for block in (struct.pack("=IB15x4xQ", 1, 2, 2),
                  struct.pack("=I16x4xQ", 1, 1),
                  struct.pack("=I16x4xQ", 1, 1 << 40)):
        refused("EINVAL", peer.flip, slot, block)
    peer.flip(slot, struct.pack("=I16x4xQ", 1, 2))


def test_without_runtime_nothing_of_it_is_there(bare):  # noqa: F811
    bare.start()
    peer = bare.connect()
    refused("EPERM", peer.attach, dp_host.ID, dp.WHOLE_HOST, role=0)
    refused("EINVAL", peer.get, "RT_SUMS")
    pins = os.listdir(bare.bpffs / "sentinel")
    assert not [name for name in pins if name.startswith("runtime")]


def restart(traced, how, *options, small=rt.SMALL):  # noqa: F811
    traced.stop(how)
    traced.start(*options, small=small)
    return traced.connect()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_events_go_on_without_the_daemon_and_are_adopted(
        runtime, traced, work, tmp_path, how):  # noqa: F811
    (tmp_path / "file").touch()
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    before = traced.links()
    traced.stop(how)
    assert open_read(work, tmp_path / "file") >= 0
    traced.start(*traced.options, small=rt.SMALL)
    assert open_read(work, tmp_path / "file") >= 0
    again = rt.Runtime(traced.connect())
    assert traced.links() == before
    assert again.slot == runtime.slot
    assert len(again.events()) == 2
    again.set()
    assert not traced.links()


def test_replaced_programs_tell_each_event_once(runtime, traced, work,  # noqa: F811
                                                tmp_path):
    (tmp_path / "file").touch()
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    before = traced.links()
    traced.stop()
    pin = traced.bpffs / "sentinel" / "runtime_maps" / "sn_rt_host"
    record = struct.pack("=II32s", runtime.slot, 1, b"of another build")
    dp_host.sh("bpftool", "map", "update", "pinned", str(pin), "key", *"0000",
               "value", *map(str, record))
    rounds, done = 20000, []
    thread = threading.Thread(target=lambda: done.append(work.do(
        "repeat", rounds, [["open", text(tmp_path / "file"), 0]])))
    thread.start()
    traced.start(*traced.options, small=rt.SMALL)
    again = rt.Runtime(traced.connect())
    while thread.is_alive():
        again.read()
    thread.join()
    again.read()
    assert not set(traced.links()) & set(before)
    assert len(traced.links()) == len(before)
    assert done == [rounds]
    counts = again.counts("FILE_OPEN")
    assert counts["generated"] == rounds
    assert counts["sent"] == len([one for one in again.seen
                                  if one.kind == rt.EVENT])


def program_of(traced, *path):  # noqa: F811
    kind = "link" if path[0] == "links" else "prog"
    found = json.loads(dp_host.sh(
        "bpftool", "-j", kind, "show", "pinned",
        str(traced.bpffs.joinpath("sentinel", *path))).stdout)
    return found["prog_id" if kind == "link" else "id"]


def test_links_of_an_upgrade_that_was_cut_short_are_not_kept(
        runtime, traced):  # noqa: F811
    """It put programs on hooks and died before it said so."""
    runtime.set(rt.rule("FILE_UNLINK", "PROCESS_EXIT"))
    before = traced.links()
    traced.stop()
    pin = traced.bpffs / "sentinel" / "runtime_maps" / "sn_rt_host"
    record = struct.pack("=II32s", runtime.slot, 0, b"")
    dp_host.sh("bpftool", "map", "update", "pinned", str(pin), "key", *"0000",
               "value", *map(str, record))
    traced.start(*traced.options, small=rt.SMALL)
    # Behind those that were there, which cannot tell anything any more.
    after = traced.links()
    assert after == [name.removesuffix("-1") + "-2" for name in before]
    for name in after:
        assert program_of(traced, "links", name) == program_of(
            traced, "runtime_programs", name.split("-")[1])


# A process that dies where it would remove its CUT_AT-th pin of a link; or one
# whose clocks stand still, so that no moment passes for it.
CUT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int unlinkat(int fd, const char *path, int flags)
{
	int (*real)(int, const char *, int) =
		(int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");
	const char *at = getenv("CUT_AT");
	static int n;

	/* It may not send itself a signal. */
	if (at && strstr(path, "/links/") && ++n == atoi(at))
		__builtin_trap();
	return real(fd, path, flags);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int (*real)(clockid_t, struct timespec *) =
		(int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT,
							      "clock_gettime");
	static struct timespec first[16];
	int r = 0;

	if (!getenv("CLOCKS_STAND") || (unsigned int)clock >= 16)
		return real(clock, ret);
	if (!first[clock].tv_sec)
		r = real(clock, &first[clock]);
	*ret = first[clock];
	return r;
}
"""


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The environment of a process that has it."""
    folder = tmp_path_factory.mktemp("cut")
    (folder / "cut.c").write_text(CUT)
    library = str(folder / "cut.so")
    dp_host.sh("cc", "-shared", "-fPIC", "-o", library, str(folder / "cut.c"),
               "-ldl")
    return {**os.environ, "LD_PRELOAD": library}


RULE = "FILE_UNLINK", "PROCESS_EXIT"  # calls, functions, a tracepoint of BTF


def cut_detach(traced, rule, env, place):  # noqa: F811
    """A sentinel-dp that is killed while it detaches; what was on hooks."""
    traced.stop()
    names = traced.links()
    programs = rt.programs_on_hooks(traced)
    at = 1 if place == "first" else len(names)
    traced.start(*traced.options, small=rt.SMALL, env={**env, "CUT_AT": str(at)})
    again = rt.Runtime(traced.connect())
    again.set(rule)
    with pytest.raises(dp.Closed):
        again.peer.detach(again.identity, again.slot)
    assert traced.process.wait(dp_host.LIMIT_S) == -signal.SIGILL
    assert len(traced.links()) == len(names) + 1 - at
    return programs


@pytest.mark.parametrize("place", ("first", "last"))
def test_detach_that_was_cut_short_leaves_no_program(
        runtime, traced, cut, work, place):  # noqa: F811
    rule = rt.rule(*RULE, cgroup=[work.cgroup_id])
    runtime.set(rule)
    programs = cut_detach(traced, rule, cut, place)
    assert bpf_calls.on_hooks(programs)
    traced.start(*traced.options, small=rt.SMALL)
    assert not traced.connect().list()
    assert not traced.links()
    wait_for(lambda: not bpf_calls.on_hooks(programs), "the kernel has ended them")


def test_detach_that_was_cut_short_tells_nothing_twice(
        runtime, traced, cut, work):  # noqa: F811
    """Who attaches at once meets links that the kernel has not ended yet."""
    rule = rt.rule(*RULE, cgroup=[work.cgroup_id])
    runtime.set(rule)
    cut_detach(traced, rule, cut, "last")
    left, = traced.links()
    assert "sched_process_exit" in left
    program = bpf_calls.pinned_program(traced.bpffs / "sentinel/links" / left)
    # As the kernel does for a while after a pin was removed.
    held = bpf_calls.get_pin(traced.bpffs / "sentinel/links" / left)
    traced.start(*traced.options, small=rt.SMALL,
                 env={**cut, "CLOCKS_STAND": "1"})
    again = rt.Runtime(traced.connect())
    again.set(rule)
    assert len(bpf_calls.on_hooks({program})) == 1
    work.do("fork", {"calls": []})
    assert [one.name for one in again.events()] == ["PROCESS_EXIT"]
    os.close(held)


def test_upgrade_that_was_cut_short_tells_nothing_twice(
        runtime, traced, work):  # noqa: F811
    """Programs of it that the kernel has not ended yet see as well."""
    runtime.set(rt.rule("PROCESS_EXIT", cgroup=[work.cgroup_id]))
    left, = traced.links()
    traced.stop()
    held = bpf_calls.get_pin(traced.bpffs / "sentinel/links" / left)
    # The number of the programs that are to be replaced, and no hash of theirs.
    bpf_calls.put_element(traced.bpffs / "sentinel/runtime_maps/sn_rt_host",
                          bytes(4), struct.pack("=II32s", runtime.slot, 0, b""))
    traced.start(*traced.options, small=rt.SMALL)
    again = rt.Runtime(traced.connect())
    work.do("fork", {"calls": []})
    assert [one.name for one in again.events()] == ["PROCESS_EXIT"]
    os.close(held)


def test_version_of_another_abi_leaves_the_host_until_it_is_detached(
        runtime, traced, work, tmp_path):  # noqa: F811
    rule = rt.rule(*RULE, cgroup=[work.cgroup_id])
    runtime.set(rule)
    new = rt.Runtime(rt.exchange_version(traced, traced.options,
                                         lambda: tell(work, tmp_path)))
    new.set(rule)
    tell(work, tmp_path)
    assert [one.name for one in new.events()] == ["FILE_UNLINK"]


def tell(work, folder):  # noqa: F811
    (folder / "file").touch()
    assert work.do("unlink", text(folder / "file")) == 0


def test_start_without_runtime_takes_it_off(runtime, traced):  # noqa: F811
    runtime.set(rt.rule("FILE_OPEN", "PROCESS_EXEC"))
    assert traced.links()
    peer = restart(traced, signal.SIGTERM, small=dp_host.SMALL)
    assert not traced.links()
    assert not peer.list()
    pins = os.listdir(traced.bpffs / "sentinel")
    assert not [name for name in pins if name.startswith("runtime")]


def test_without_tracefs_only_processes_are_seen(bare, tmp_path):  # noqa: F811
    bare.start("--tracefs", str(tmp_path / "nothing"), small=rt.SMALL)
    peer = bare.connect()
    syscalls = {row for row, hook in enumerate(rt.HOOKS)
                if hook[3] in ("SYSCALL", "SYSCALL_OLD")}
    assert rt.missing(peer) == syscalls
    runtime = rt.Runtime(peer)  # noqa: F811
    work = rt.Work(bare)
    runtime.set(rt.rule("FILE_OPEN", "PROCESS_EXIT", cgroup=[work.cgroup_id]))
    work.do("fork", {"calls": [["open", text("/"), 0]]})
    assert [one.name for one in runtime.events()] == ["PROCESS_EXIT"]
    work.end()


PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def children(pid):
    return [int(one) for one in Path(
        f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_paranoid_kernel_is_asked_by_a_process_that_does_nothing_else(
        bare, tmp_path):  # noqa: F811
    folder = rt.mount_tracefs(tmp_path / "tracefs")
    before = PARANOID.read_text()
    # Above 2 is Debian's; other kernels take it for 2.
    PARANOID.write_text("3")
    try:
        bare.start("--tracefs", str(folder), small=rt.SMALL)
    finally:
        PARANOID.write_text(before)
    opener, = children(bare.process.pid)
    assert int(status(opener)["CapEff"], 16) == 1 << 21  # CAP_SYS_ADMIN
    assert int(status(opener)["CapBnd"], 16) == 1 << 21
    assert status(opener)["Seccomp"] == "2"
    assert status(opener)["NoNewPrivs"] == "1"
    assert sorted(os.listdir(f"/proc/{opener}/fd")) == ["0", "1", "2", "3"]
    assert int(status(bare.process.pid)["CapEff"], 16) == \
        1 << 12 | 1 << 38 | 1 << 39
    runtime = rt.Runtime(bare.connect())  # noqa: F811
    work = rt.Work(bare)
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    assert open_read(work, tmp_path) >= 0
    assert paths(runtime.events()) == [os.fsencode(tmp_path)]
    work.end()
    bare.stop(signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{opener}").exists(), "it ends, too")
    dp_host.sh("umount", str(folder))


def test_with_the_process_that_opens_gone_new_rules_are_refused(
        bare, tmp_path):  # noqa: F811
    folder = rt.mount_tracefs(tmp_path / "tracefs")
    before = PARANOID.read_text()
    PARANOID.write_text("3")
    try:
        bare.start("--tracefs", str(folder), small=rt.SMALL)
    finally:
        PARANOID.write_text(before)
    runtime = rt.Runtime(bare.connect())  # noqa: F811
    work = rt.Work(bare)
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    os.kill(children(bare.process.pid)[0], signal.SIGKILL)
    refused("EPIPE", runtime.set, rt.rule("FILE_UNLINK"))
    # What was in force stays, whole.
    assert open_read(work, tmp_path) >= 0
    assert paths(runtime.events()) == [os.fsencode(tmp_path)]
    assert {name.split("-")[1] for name in bare.links()} == {
        "sn_rt_open", "sn_rt_uring_open"}
    work.end()
    bare.stop()
    dp_host.sh("umount", str(folder))
