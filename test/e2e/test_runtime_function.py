# SPDX-License-Identifier: Apache-2.0
"""Each function of the kernel in shared/runtime.def done once, where trampolines
load: the file is the one that was meant, however it was named and whoever asked;
and what does not come as far as a function is told once, by its tracepoint."""

import ctypes
import errno
import os
import struct
import time

import pytest

import bpf_calls
import dp_host
import runtime_host as rt
from runtime_host import text
from test_runtime_table import (BOOT, CWD, Scene, check, passed, set_stage)

REMOVEDIR = 0x200
FOLLOW = 0x400
SEIZE, INTERRUPT = 0x4206, 0x4207
RING_OPENAT, RING_UNLINKAT = 18, 36
NOBODY = 65534
ENOTSUPP = 524


# All at once: an emulated machine exchanges rules slowly.
EVENTS = sorted({hook[0] for hook in rt.HOOKS if hook[1] == "FEXIT"})


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    for made in set_stage(tmp_path_factory, "best"):
        error = abs(rt.program_error(made.peer, "RT_DONE_UNLINK"))
        if error in (errno.EPERM, errno.EOPNOTSUPP, ENOTSUPP):
            made.end()
            pytest.skip("this kernel lets no programs be on functions: " +
                        os.strerror(error))
        assert not any(rt.program_error(made.peer, hook[2])
                       for hook in rt.HOOKS if hook[1] == "FEXIT")
        made.runtime.set(rt.rule(*EVENTS, cgroup=[made.work.cgroup_id]))
        yield made


def watch(stage, event, do, scene):
    """What is told of an event while something is done, what that returned, and
    when."""
    stage.runtime.read()
    before = stage.runtime.counts(event)
    start = time.clock_gettime_ns(BOOT)
    result = do(scene)
    end = time.clock_gettime_ns(BOOT)
    found = [one for one in stage.runtime.events() if one.name == event]
    after = stage.runtime.counts(event)
    assert after["generated"] - before["generated"] == len(found)
    assert after["sent"] - before["sent"] == len(found)
    return found, result, (start, end)


def named(path, seen=None):
    """A name, and the file that has it now. seen: as the process sees it."""
    st = os.lstat(path) if os.path.lexists(path) else None
    return {"path": os.fsencode(seen or path), "flags": 0,
            "inode": st.st_ino if st else 0, "dev": st.st_dev if st else 0,
            "mode": st.st_mode if st else 0, "on_disk": rt.on_disk(path)}


def by_symlink(scene, name):
    """The name through a symbolic link to its directory."""
    way = scene.place / "way"
    if not way.is_symlink():
        way.symlink_to(scene.place)
    return text(way / name)


def unlinking(scene):
    scene.expect(file=named(scene.file))
    return scene.work.do("unlink", by_symlink(scene, "file"))


def removing(scene):
    empty = scene.place / "empty"
    empty.mkdir()
    folder = scene.work.do("open", text(scene.place), os.O_PATH, 0)
    scene.expect(file=named(empty), args=[REMOVEDIR, 0, 0])
    return scene.work.do("unlinkat", folder, text("empty"), REMOVEDIR)


def renaming(scene):
    scene.expect(file=named(scene.file), file2=named(scene.other))
    return scene.work.do("rename", by_symlink(scene, "file"),
                         by_symlink(scene, "other"))


def linking(scene):
    source, new = scene.place / "source", scene.place / "linked"
    source.symlink_to("file")
    result = scene.work.do("linkat", CWD, text(source), CWD,
                           by_symlink(scene, "linked"), FOLLOW)
    scene.expect(file=named(scene.file), file2=named(new))
    return result


def symlinking(scene):
    new = scene.place / "linked"
    result = scene.work.do("symlink", text("anywhere"),
                           by_symlink(scene, "linked"))
    scene.expect(file=passed("anywhere", rt.TEXT), file2=named(new))
    return result


def changing_mode(scene):
    result = scene.work.do("chmod", by_symlink(scene, "file"), 0o640)
    scene.expect(file=named(scene.file), args=[0o640, 0, 0])
    return result


def changing_owner(scene):
    link = scene.place / "link"
    link.symlink_to("file")
    scene.expect(file=named(link), args=[7, 8, 0])
    return scene.work.do("lchown", by_symlink(scene, "link"), 7, 8)


def truncating(scene):
    """Through a bind mount: the path is the process', the rest the disk's."""
    inside, bound = scene.place / "inside", scene.place / "bound"
    inside.mkdir()
    bound.mkdir()
    file = inside / "file"
    file.write_bytes(b"content")
    dp_host.sh("mount", "--bind", str(inside), str(bound))
    try:
        scene.expect(file=named(file, bound / "file"))
        return scene.work.do("truncate", text(bound / "file"), 2)
    finally:
        dp_host.sh("umount", str(bound))


def denying(scene):
    """The process is not allowed to look at the directories above."""
    scene.place.chmod(0o755)
    scene.file.chmod(0o600)
    scene.pid, _ = scene.work.do("fork", {"calls": [
        ["chdir", text(scene.place)], ["setresuid", NOBODY, NOBODY, NOBODY],
        ["open", by_symlink_here(scene), os.O_RDWR]]})
    scene.expect(file=named(scene.file), args=[os.O_RDWR, 0, 0],
                 user=(NOBODY, 0), start=None)
    return -errno.EACCES


def by_symlink_here(scene):
    (scene.place / "here").symlink_to("file")
    return text("here")


def opening(scene):
    scene.expect(file=named(scene.file), args=[os.O_RDWR, 0, 0],
                 flags=rt.COMPAT)
    assert scene.work.do("i386:open", by_symlink(scene, "file"), os.O_RDWR) >= 0
    return 0


def mounting(scene):
    target = scene.place / "target"
    target.mkdir()
    scene.expect(file=named(target), file2=passed("source", rt.TEXT),
                 args=[4, 0, 0])
    try:
        return scene.work.do("mount", text("source"),
                             by_symlink(scene, "target"), text("tmpfs"), 4, 0)
    finally:
        dp_host.sh("umount", str(target), check=False)


def unmounting(scene):
    target = scene.place / "target"
    target.mkdir()
    dp_host.sh("mount", "-t", "tmpfs", "source", str(target))
    try:
        result = scene.work.do("umount", by_symlink(scene, "target"), 2)
        scene.expect(file=named(target), args=[2, 0, 0])
    finally:
        dp_host.sh("umount", str(target), check=False)
    return result


def loading(scene):
    code = struct.pack("=BBhiBBhi", 0xb7, 0, 0, 0, 0x95, 0, 0, 0)
    name = struct.unpack("=QQ", b"named_program\0\0\0")
    scene.expect(args=[1, 2, 0], file=passed("named_program", rt.TEXT))
    return scene.work.do("bpf", 5, {"words": [
        1 | 2 << 32, text(code), text("GPL"), 0, 0, 0, *name]}, 64)


def executing(scene):
    """No program, although it may be executed."""
    scene.file.chmod(0o755)
    scene.expect(file=named(scene.file),
                 file2=passed(scene.place / "way/file"))
    return scene.work.do("execve", by_symlink(scene, "file"), {"words": [0]},
                         {"words": [0]})


def tracing(request):
    """Of its parent, by a child that ends at once."""
    def do(scene):
        calls = [["ptrace", SEIZE, scene.work.pid, 0, 0]]
        if request == INTERRUPT:
            calls.append(["ptrace", INTERRUPT, scene.work.pid, 0, 0])
        scene.pid, _ = scene.work.do("fork", {"calls": calls})
        scene.expect(args=[request, scene.work.pid, 0], start=None,
                     before=len(calls) - 1)
        return 0
    return do


SCENES = {
    "may_open": denying, "do_filp_open": opening, "vfs_truncate": truncating,
    "vfs_unlink": unlinking, "vfs_rmdir": removing, "vfs_rename": renaming,
    "vfs_link": linking, "vfs_symlink": symlinking,
    "chmod_common": changing_mode, "chown_common": changing_owner,
    "path_mount": mounting, "path_umount": unmounting,
    "bpf_prog_load": loading, "bprm_execve": executing,
    "ptrace_attach": tracing(SEIZE), "arch_ptrace": tracing(INTERRUPT)}
FUNCTIONS = {hook[4]: hook for hook in rt.HOOKS if hook[1] == "FEXIT"}


def test_every_function_has_its_scene():
    assert {name for name in FUNCTIONS
            if not name.startswith("security_")} == set(SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_each_function_tells_what_was_meant_once(stage, tmp_path, name):
    event, _, _, _, _, call, _ = FUNCTIONS[name]
    scene = Scene(stage, tmp_path)
    found, result, times = watch(stage, event, SCENES[name], scene)
    assert len(found) == 1 + scene.expected.get("before", 0), found
    check(found[-1], scene, event, call, result, times)


def see(stage, tmp_path, event, do, call="NONE"):
    scene = Scene(stage, tmp_path)
    found, result, times = watch(stage, event, do, scene)
    assert len(found) == 1, found
    check(found[0], scene, event, call, result, times)


def test_removal_by_a_32_bit_call_is_told(stage, tmp_path):
    def do(scene):
        scene.expect(file=named(scene.file), flags=rt.COMPAT)
        return scene.work.do("i386:unlink", by_symlink(scene, "file"))
    see(stage, tmp_path, "FILE_UNLINK", do)


def ring(scene, *request):
    result = scene.work.do("ring", *request)
    if result in (-errno.ENOSYS, -errno.EPERM):
        pytest.skip("no io_uring here")
    return result


def test_removal_by_io_uring_is_told(stage, tmp_path):
    def do(scene):
        scene.expect(file=named(scene.file), flags=rt.IO_URING)
        return ring(scene, RING_UNLINKAT, CWD, by_symlink(scene, "file"))
    see(stage, tmp_path, "FILE_UNLINK", do, "IO_URING")


def test_opening_by_io_uring_is_told(stage, tmp_path):
    # Without O_NONBLOCK the kernel may add it, in a first try that must not wait.
    flags = os.O_RDWR | os.O_NONBLOCK

    def do(scene):
        scene.expect(file=named(scene.file), flags=rt.IO_URING,
                     args=[flags, 0, 0])
        assert ring(scene, RING_OPENAT, CWD, by_symlink(scene, "file"), 0, 0,
                    flags) >= 0
        return 0
    see(stage, tmp_path, "FILE_OPEN", do, "IO_URING")


def ring_after(scene, request, *rest):
    results = scene.work.do("ring_after", request, *rest)
    if results[-1] in (-errno.ENOSYS, -errno.EPERM):
        pytest.skip("no io_uring here")
    return results


def test_opening_by_io_uring_is_told_at_the_end_of_any_call(stage, tmp_path):
    """What waits for something goes on when the thread next leaves the kernel,
    whatever it was there for."""
    flags = os.O_RDWR | os.O_NONBLOCK
    scene = Scene(stage, tmp_path)
    read_end, write_end = scene.work.do("pipe")

    def do(scene):
        scene.expect(file=named(scene.file), flags=rt.IO_URING,
                     args=[flags, 0, 0])
        *_, opened = ring_after(
            scene, [RING_OPENAT, CWD, text(scene.file), 0, 0, flags], read_end,
            [["write", write_end, {"room": 1}, 1]])
        assert opened >= 0
        return 0
    see(stage, tmp_path, "FILE_OPEN", do, "IO_URING")


def test_failure_of_io_uring_at_the_end_of_a_call_hides_no_other(stage,
                                                                 tmp_path):
    scene = Scene(stage, tmp_path)
    watch_fd = scene.work.do("inotify_init1", 0)
    opened = 0x20  # IN_OPEN
    assert scene.work.do("inotify_add_watch", watch_fd, text(scene.file),
                         opened) > 0

    def do(scene):
        *fds, failed = ring_after(
            scene, [RING_OPENAT, CWD, text(tmp_path), 0, 0, os.O_WRONLY],
            watch_fd, [["openat", CWD, text(path), os.O_RDONLY, 0]
                       for path in (scene.file, scene.other)])
        assert failed == -errno.EISDIR
        return fds
    found, fds, _ = watch(stage, "FILE_OPEN", do, scene)
    assert [(one.file.path, one.flags, one.result) for one in found] == [
        (os.fsencode(scene.file), 0, fds[0]),
        (os.fsencode(tmp_path), rt.IO_URING, -errno.EISDIR),
        (os.fsencode(scene.other), 0, fds[1])]


def test_opening_tells_its_descriptor_once(stage, tmp_path):
    def do(scene):
        scene.expect(file=named(scene.file), args=[os.O_RDWR, 0, 0])
        return scene.work.do("open", by_symlink(scene, "file"), os.O_RDWR)
    see(stage, tmp_path, "FILE_OPEN", do, "OPEN")


def test_opening_nothing_is_told_once(stage, tmp_path):
    def do(scene):
        scene.expect(file=passed(scene.place / "missing"),
                     args=[os.O_RDWR, 0, 0])
        return scene.work.do("open", text(scene.place / "missing"), os.O_RDWR)
    see(stage, tmp_path, "FILE_OPEN", do)


@pytest.mark.parametrize("times", (1, 2))
def test_removing_nothing_is_told_once_by_its_tracepoint(stage, tmp_path,
                                                         times):
    """Also behind a removal that the function told."""
    def do(scene):
        if times == 2:
            scene.work.do("unlink", text(scene.file))
            scene.expect(before=1)
        scene.expect(file=passed(scene.place / "missing"))
        return scene.work.do("unlink", text(scene.place / "missing"))
    scene = Scene(stage, tmp_path)
    found, result, when = watch(stage, "FILE_UNLINK", do, scene)
    assert len(found) == times
    assert result == -errno.ENOENT
    check(found[-1], scene, "FILE_UNLINK", "UNLINK", result, when)


def test_removal_that_a_security_module_denies_is_told(stage, tmp_path):
    if ctypes.CDLL(None).syscall(444, None, 0, 1) < 1:
        pytest.skip("no landlock here")

    def do(scene):
        scene.pid, status = scene.work.do("landlock", [
            ["unlink", by_symlink(scene, "file")]])
        assert status == 0
        assert scene.file.exists()
        scene.expect(file=named(scene.file), start=None)
        return -errno.EACCES
    see(stage, tmp_path, "FILE_UNLINK", do)


def test_rename_that_fails_tells_both_names(stage, tmp_path):
    def do(scene):
        (scene.place / "folder").mkdir()
        scene.expect(file=named(scene.file),
                     file2=named(scene.place / "folder"))
        return scene.work.do("rename", text(scene.file),
                             text(scene.place / "folder"))
    see(stage, tmp_path, "FILE_RENAME", do)


def test_nothing_is_left_on_functions_without_a_rule(stage):
    assert [name for name in stage.host.links() if "vfs_unlink" in name]
    stage.runtime.set()
    assert not [name for name in stage.host.links() if "vfs_unlink" in name]
    stage.runtime.set(rt.rule(*EVENTS, cgroup=[stage.work.cgroup_id]))
    assert [name for name in stage.host.links() if "vfs_unlink" in name]


def test_next_start_takes_the_functions_over(stage, tmp_path):
    links = sorted(stage.host.links())
    assert [name for name in links if "vfs_unlink" in name]
    stage.restart()
    assert sorted(stage.host.links()) == links

    def do(scene):
        scene.expect(file=named(scene.file))
        return scene.work.do("unlink", by_symlink(scene, "file"))
    see(stage, tmp_path, "FILE_UNLINK", do)


def is_told_once_again(stage, place):
    def do(scene):
        scene.expect(file=named(scene.file))
        return scene.work.do("unlink", by_symlink(scene, "file"))
    stage.runtime.set(rt.rule(*EVENTS, cgroup=[stage.work.cgroup_id]))
    see(stage, place, "FILE_UNLINK", do)


def test_detach_that_was_cut_short_leaves_no_program(stage, tmp_path):
    """Its process died when the slot was no more and every second pin was."""
    names, programs = stage.host.links(), rt.programs_on_hooks(stage.host)
    assert [name for name in names if "vfs_unlink" in name]
    pins = stage.host.bpffs / "sentinel"
    stage.runtime.ring.close()
    stage.host.stop()
    bpf_calls.put_begin(pins / "runtime_maps/sn_rt_host", bytes(4), 40)
    for name in names[::2]:
        (pins / "links" / name).unlink()
    stage.begin()
    assert not stage.host.links()
    dp_host.wait_for(lambda: not bpf_calls.on_hooks(programs),
                     "the kernel has ended them")
    is_told_once_again(stage, tmp_path)


def test_version_of_another_abi_leaves_the_host_until_it_is_detached(stage,
                                                                     tmp_path):
    assert [name for name in stage.host.links() if "vfs_unlink" in name]
    stage.runtime.ring.close()
    (tmp_path / "another").touch()

    def do():
        stage.work.do("unlink", text(tmp_path / "another"))
    stage.peer = rt.exchange_version(stage.host, [
        "--tracefs", str(stage.tracefs), *stage.options], do)
    stage.runtime = rt.Runtime(stage.peer)
    is_told_once_again(stage, tmp_path)
