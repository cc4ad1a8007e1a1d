# SPDX-License-Identifier: Apache-2.0
"""Runtime events of sentinel-dp: which paths are told, which rules match, what
is summed, counted and never told, and what holds while rules change."""

import errno
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

import dp_host
import runtime_host as rt
from dp_host import bare, wait_for  # noqa: F401
from runtime_host import (open_read, paths, read_during, runtime,  # noqa: F401
                          text, traced, work, works)

CWD = -100
SECOND_NS = 10 ** 9


@pytest.fixture
def opens(runtime, work):  # noqa: F811
    """Rules for opens of this test's process alone; what came since."""
    def take(**fields):
        if fields or not opens_set:
            runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id],
                                **fields))
            opens_set.append(True)
        return runtime.events()
    opens_set = []
    return take


def test_prefix_ends_at_a_boundary(opens, work, tmp_path):
    for name in ("etc", "etcetera", "etc/deep/er"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    (tmp_path / "et").touch()
    opens(path=[tmp_path / "etc"])
    inside = ["etc", "etc/file", "etc/deep/er/file"]
    for name in [*inside, "etcetera", "etcetera/file", "et"]:
        assert open_read(work, tmp_path / name) >= 0
    assert paths(opens()) == [os.fsencode(tmp_path / name) for name in inside]


def test_root_is_a_prefix_of_everything(opens, work, tmp_path):
    opens(path=["/"])
    assert open_read(work, tmp_path) >= 0
    assert paths(opens()) == [os.fsencode(tmp_path)]


def test_names_are_bytes(opens, work, tmp_path):
    name = os.fsencode(tmp_path) + b"/new\nline \xff\xfe\x80 \"quote\\"
    Path(os.fsdecode(name)).touch()
    opens(path=[os.fsdecode(name)])
    assert open_read(work, os.fsdecode(name)) >= 0
    assert paths(opens()) == [name]


def deep(work, folder, bytes_wanted):
    """A file so deep that its path has so many bytes; the process is beside."""
    folder.mkdir()
    at = os.fsencode(folder)
    work.do("chdir", str(folder))
    before = os.getcwd()
    os.chdir(folder)
    try:
        while len(at) < bytes_wanted - 2:
            name = (b"\xff\n" * 100)[:min(200, bytes_wanted - 2 - len(at) - 1)]
            os.mkdir(name)
            os.chdir(name)
            work.do("chdir", os.fsdecode(name))
            at += b"/" + name
        Path("f").touch()
    finally:
        os.chdir(before)
    return at + b"/f"


def test_path_of_4096_bytes_is_whole(opens, work, tmp_path):
    folder = tmp_path / "deep"
    path = deep(work, folder, 4096)
    assert len(path) == 4096
    opens(path=[tmp_path])
    assert work.do("openat", CWD, text("f"), os.O_RDONLY) >= 0
    found, = opens()
    assert (found.file.path, found.file.flags) == (path, 0)
    assert found.file.on_disk == rt.on_disk(folder) + \
        path[len(os.fsencode(folder)):]
    remove_deep(folder)


def test_longer_path_is_cut_and_marked_and_left_to_the_reader(opens, work,
                                                              tmp_path):
    path = deep(work, tmp_path / "deep", 5000)
    opens(path=["/somewhere/else"])
    assert work.do("openat", CWD, text("f"), os.O_RDONLY) >= 0
    found, = opens()
    assert found.file.flags == rt.CUT
    assert found.flags == rt.UNSURE
    assert len(found.file.path) > 3800
    assert path.endswith(found.file.path)
    remove_deep(tmp_path / "deep")


def remove_deep(folder):
    """Relative to each folder: the whole path is too long for rmtree()."""
    subprocess.run(["find", str(folder), "-xdev", "-delete"], check=True)


def test_deleted_file_is_marked(runtime, work, tmp_path):  # noqa: F811
    path = tmp_path / "file"
    path.write_bytes(b"content")
    inode = path.stat().st_ino
    fd = work.do("open", text(path), os.O_RDONLY)
    path.unlink()
    runtime.set(rt.rule("FILE_READ", cgroup=[work.cgroup_id]))
    assert work.do("read", fd, {"room": 16}, 16) == 7
    found, = runtime.events()
    assert found.file.path == os.fsencode(path)
    assert found.file.flags == rt.DELETED
    assert found.file.inode == inode


def test_chroot_is_seen_from_inside_and_on_disk(opens, work, tmp_path):
    inner = tmp_path / "jail" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    work.do("chroot", str(tmp_path / "jail"))
    opens(path=["/inner"])
    assert open_read(work, "/inner/file") >= 0
    found, = opens()
    assert found.file.path == b"/inner/file"
    assert found.file.on_disk == rt.on_disk(inner / "file")


def test_bind_mount_tells_both_places(opens, work, tmp_path):
    real, bound = tmp_path / "real", tmp_path / "bound"
    (real / "sub").mkdir(parents=True)
    bound.mkdir()
    (real / "sub" / "file").touch()
    dp_host.sh("mount", "--bind", str(real), str(bound))
    try:
        opens(path=[bound])
        assert open_read(work, bound / "sub" / "file") >= 0
        assert open_read(work, real / "sub" / "file") >= 0
        found, = opens()
    finally:
        dp_host.sh("umount", str(bound))
    assert found.file.path == os.fsencode(bound / "sub" / "file")
    assert found.file.on_disk == rt.on_disk(real / "sub" / "file")
    assert (found.file.dev, found.file.inode) == (
        (real / "sub" / "file").stat().st_dev,
        (real / "sub" / "file").stat().st_ino)


def test_renamed_file_has_its_new_name(opens, work, tmp_path):
    (tmp_path / "old").touch()
    opens(path=[tmp_path / "new"])
    (tmp_path / "old").rename(tmp_path / "new")
    assert open_read(work, tmp_path / "new") >= 0
    assert paths(opens()) == [os.fsencode(tmp_path / "new")]


@pytest.mark.parametrize("passed", [
    "in/missing", "./in/./missing", "in//missing", "out/../in/missing",
    "in/x/../../in/missing", "/{}/in/missing", "//{}/out/..//in/./missing"])
def test_failed_open_is_found_however_it_was_spelt(opens, work, tmp_path,
                                                   passed):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    work.do("chdir", str(tmp_path))
    passed = passed.format(str(tmp_path)[1:])
    opens(path=[tmp_path / "in"])
    assert work.do("openat", CWD, text(passed), os.O_RDONLY) == -2
    found, = opens()
    assert found.result == -2
    assert found.file.flags == rt.STRING
    assert found.file.path == os.fsencode(
        passed if passed[0] == "/" else f"{tmp_path}/{passed}")


def test_directory_descriptor_is_where_a_string_begins(opens, work, tmp_path):
    (tmp_path / "in").mkdir()
    fd = work.do("open", text(tmp_path / "in"), os.O_RDONLY)
    opens(path=[tmp_path / "in"])
    assert work.do("openat", fd, text("missing"), os.O_RDONLY) == -2
    assert work.do("openat", fd, text("../missing"), os.O_RDONLY) == -2
    found = paths(opens())
    assert found[0] == os.fsencode(tmp_path / "in" / "missing")
    # What left the directory again is for the reader to put aside.
    assert found[1:] in ([], [os.fsencode(f"{tmp_path}/in/../missing")])


def test_each_field_decides(runtime, work, traced, tmp_path):  # noqa: F811
    wanted, other = tmp_path / "wanted", tmp_path / "other"
    wanted.touch()
    other.touch()
    python = os.path.realpath("/usr/bin/python3")
    mine = {"cgroup": [work.cgroup_id]}
    work.do("comm", "odd name")

    def seen(path=wanted, **fields):
        runtime.set(rt.rule("FILE_OPEN", **{**mine, **fields}))
        open_read(work, path)
        return len(runtime.events())
    assert seen() == 1
    assert seen(comm=["odd name"]) == 1 and not seen(comm=["odd nam"])
    assert seen(uid=[0, 7]) == 1 and not seen(uid=[7])
    assert seen(exe_path=["/usr"]) == 1 and not seen(exe_path=["/us"])
    assert seen(exe_path=[python]) == 1
    assert seen(exe=[rt.device(python)]) == 1
    assert not seen(exe=[rt.device("/usr/bin/env")])
    assert seen(devino=[rt.device(wanted)]) == 1
    assert not seen(devino=[rt.device(wanted)], path=other)
    assert seen(result=[0]) == 1 and not seen(result=[1])
    assert seen(result=[1], path=tmp_path / "missing") == 1
    parent = work.cgroup.parent.stat().st_ino
    assert seen(cgroup=[parent], devino=[rt.device(wanted)]) == 1
    assert not seen(cgroup=[1 << 40])
    assert seen(comm=["odd name"], devino=[rt.device(other)]) == 0


def test_thousand_rules_are_told_apart(runtime, work, tmp_path):  # noqa: F811
    names = [tmp_path / f"{i:04}" for i in range(1000)]
    rules = [rt.rule("FILE_OPEN", path=[name], cgroup=[work.cgroup_id],
                     result=[i % 2]) for i, name in enumerate(names)]
    for name in names[::2]:
        name.touch()
    names[1].touch()
    runtime.set(*rules)
    for name in (names[0], names[998], names[1], names[3], names[999]):
        open_read(work, name)
    # names[1] can be opened and its rule is about failures.
    assert paths(runtime.events()) == [
        os.fsencode(names[i]) for i in (0, 998, 3, 999)]


def test_nothing_is_on_a_hook_that_no_rule_needs(runtime, traced):  # noqa: F811
    def hooks():
        return {name.split("-")[2] for name in traced.links()}
    runtime.set(rt.rule("FILE_UNLINK"))
    assert hooks() == {"unlink", "unlinkat", "rmdir"}
    runtime.set(rt.rule("PROCESS_EXIT"))
    assert hooks() == {"sched_process_exit"}
    runtime.set()
    assert not traced.links()
    wait_for(lambda: not rt.kept_links(traced), "the last one is closed")


def count_forks(runtime, work, times):  # noqa: F811
    """How often one fork is told, each time by a rule that was just put."""
    found = []
    for _ in range(times):
        runtime.set()
        runtime.set(rt.rule("PROCESS_FORK", cgroup=[work.cgroup_id]))
        work.do("fork", {"calls": []})
        found.append(len(runtime.events()))
    return found


def test_rules_that_come_and_go_are_told_each_event_once(runtime, work):  # noqa: F811
    assert count_forks(runtime, work, 150) == [1] * 150


def test_hook_that_was_left_is_taken_once(runtime, traced, work):  # noqa: F811
    for _ in range(4):
        assert count_forks(runtime, work, 1) == [1]
        runtime.set()
        work.do("fork", {"calls": []})
        assert not runtime.events()
        wait_for(lambda: not rt.kept_links(traced), "it is closed")
    assert count_forks(runtime, work, 1) == [1]
    runtime.set()
    traced.stop(signal.SIGKILL)
    traced.start(*traced.options, small=rt.SMALL, limit_s=rt.START_S)
    again = rt.Runtime(traced.connect())
    assert count_forks(again, work, 3) == [1] * 3


def test_writes_are_summed_after_the_first(runtime, work, tmp_path):  # noqa: F811
    fd = work.do("open", text(tmp_path / "file"), os.O_CREAT | os.O_RDWR, 0o600)
    runtime.set(rt.rule("FILE_WRITE", cgroup=[work.cgroup_id]))
    assert work.do("repeat", 100, [["write", fd, {"room": 8}, 3]]) == 100
    first, = runtime.events()
    assert (first.flags, first.count, first.bytes) == (rt.FIRST, 1, 3)
    runtime.flush()
    rest, = runtime.events()
    assert (rest.flags, rest.count, rest.bytes) == (rt.SUMMED, 99, 297)
    assert (rest.tgid, rest.start, rest.file.inode, rest.file.dev) == \
        (first.tgid, first.start, first.file.inode, first.file.dev)
    assert rest.file.path == b""
    assert runtime.counts("FILE_WRITE")["summed"] == 99
    assert runtime.counts("FILE_WRITE")["generated"] == 2
    # Idle entries are retired, and what comes then is a first one again.
    wait_for(lambda: runtime.flush() or not runtime.peer.get("RT_SUMS"),
             "entries are retired")
    assert work.do("write", fd, {"room": 8}, 2) == 2
    again, = runtime.events()
    assert (again.flags, again.bytes) == (rt.FIRST, 2)


def test_sums_are_exact_while_they_are_sent(runtime, work, works,  # noqa: F811
                                            tmp_path):
    second = works("second")
    fds = [one.do("open", text(tmp_path / "file"), os.O_CREAT | os.O_RDWR,
                  0o600) for one in (work, second)]
    runtime.set(rt.rule("FILE_WRITE", cgroup=[work.cgroup_id,
                                              second.cgroup_id]))
    done = [None, None]

    def write(number, one):
        done[number] = one.do("repeat", 20000,
                              [["write", fds[number], {"room": 8}, 5]])
    threads = [threading.Thread(target=write, args=(number, one))
               for number, one in enumerate((work, second))]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        runtime.flush()
        runtime.read()
    for thread in threads:
        thread.join()
    runtime.flush()
    runtime.read()
    for number, one in enumerate((work, second)):
        own = [record for record in runtime.seen if record.kind == rt.EVENT and
               record.tgid == one.pid]
        assert sum(record.count for record in own) == done[number] == 20000
        assert sum(record.bytes for record in own) == 100000
    assert len(runtime.seen) < 20000


def test_full_table_of_sums_loses_nothing(runtime, work, tmp_path):  # noqa: F811
    fds = [work.do("open", text(tmp_path / f"{i}"), os.O_CREAT | os.O_RDWR,
                   0o600) for i in range(80)]  # the table has 64
    runtime.set(rt.rule("FILE_WRITE", cgroup=[work.cgroup_id]))
    calls = [["write", fd, {"room": 8}, 1] for fd in fds]
    assert work.do("repeat", 3, calls) == 240
    runtime.flush()
    found = runtime.events()
    assert sum(record.count for record in found) == 240
    assert sum(record.bytes for record in found) == 240


def test_ledger_is_exact_when_the_ring_is_full(runtime, work,  # noqa: F811
                                               tmp_path):
    """At twice what it holds."""
    (tmp_path / "file").touch()
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    bytes_each = 8 + (240 + 2 * len(str(tmp_path / "file")) + 7) // 8 * 8
    count = 2 * rt.RING_BYTES // bytes_each
    assert work.do("repeat", count, [["open", text(tmp_path / "file"), 0]]) == \
        count
    counts = runtime.counts("FILE_OPEN")
    assert counts["generated"] == count
    assert counts["ring_full"] > count // 4
    assert counts["sent"] + counts["ring_full"] == count
    assert counts["over_budget"] == counts["failed"] == 0
    assert len(runtime.events()) == counts["sent"]


def test_flood_of_one_subject_hides_no_other(runtime, work, works,  # noqa: F811
                                             tmp_path):
    (tmp_path / "file").touch()
    other = works("other")
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id, other.cgroup_id]),
                budget=(SECOND_NS // 10, 50))
    flood = [["open", text(tmp_path / "file"), 0]]
    assert work.do("repeat", 3000, flood) == 3000
    start = time.monotonic()
    assert other.do("repeat", 10, flood) == 10
    found = [record for record in runtime.events()]
    assert time.monotonic() - start < 1
    assert len([one for one in found if one.tgid == other.pid]) == 10
    counts = runtime.counts("FILE_OPEN")
    flooded = len([one for one in found if one.tgid == work.pid])
    assert 50 <= flooded < 1000
    assert counts == {"generated": 3010, "sent": flooded + 10, "ring_full": 0,
                      "over_budget": 3000 - flooded, "failed": 0, "summed": 0}


def test_exchange_of_rules_loses_and_mixes_nothing(runtime, work,  # noqa: F811
                                                   tmp_path):
    """Two sets in turn: both want `both`, the others are in one of them."""
    for name in ("odd", "even", "both"):
        (tmp_path / name).touch()
    mine = {"cgroup": [work.cgroup_id]}

    def exchange(number):
        own = tmp_path / ("odd" if number % 2 else "even")
        # The same thing said by other rows, so that a mix would be seen.
        filler = [rt.rule("FILE_OPEN", path=[f"/none/{i}"]) for i in
                  range(number % 3)]
        runtime.set(*filler, rt.rule("FILE_OPEN", path=[own], **mine),
                    rt.rule("FILE_OPEN", path=[tmp_path / "both"], **mine))
    exchange(runtime.generation + 1)
    calls = [["open", text(tmp_path / name), 0]
             for name in ("odd", "both", "even")]

    def steadily():
        count = 0
        while runtime.generation < 30:
            count += work.do("repeat", 500, calls)
        return count
    rounds = read_during(runtime, steadily, lambda: exchange(
        runtime.generation + 1)) // 3
    found = [one for one in runtime.seen if one.kind == rt.EVENT]
    unsure = [one for one in found if one.flags & rt.UNSURE]
    by_name = {}
    for one in found:
        name = os.path.basename(one.file.path).decode()
        by_name.setdefault(name, []).append(one)
        if not one.flags & rt.UNSURE:
            assert name == "both" or name == ("even", "odd")[
                (one.word >> 32) % 2]
    assert len(by_name["both"]) == rounds
    assert by_name["odd"] and by_name["even"]
    assert len(unsure) < rounds // 10
    assert runtime.counts()["ring_full"] == 0


def test_process_is_introduced_before_its_first_event(runtime, work,  # noqa: F811
                                                      tmp_path):
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    open_read(work, tmp_path)
    open_read(work, tmp_path)
    first, *events = runtime.read()
    assert [one.kind for one in events] == [rt.EVENT, rt.EVENT]
    python = os.path.realpath("/usr/bin/python3")
    assert first.kind == rt.PROCESS
    assert (first.tgid, first.start) == (events[0].tgid, events[0].start)
    assert first.args[0] == os.getpid()
    assert first.args[1] // 10 ** 7 == rt.start_ticks(os.getpid())
    assert first.args[2:] == [os.stat(f"/proc/self/ns/{kind}").st_ino
                              for kind in ("mnt", "pid")]
    assert first.file.path == os.fsencode(python)
    assert (first.file.dev, first.file.inode) == (
        os.stat(python).st_dev, os.stat(python).st_ino)
    assert first.file2.path == b"/" + os.fsencode(
        work.cgroup.relative_to(dp_host.cgroup_root()))
    runtime.epoch += 1
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    open_read(work, tmp_path)
    assert [one.kind for one in runtime.read()] == [rt.PROCESS, rt.EVENT]


@pytest.mark.parametrize("told", [False, True])
def test_process_that_executed_a_program_is_introduced_again(runtime,  # noqa: F811
                                                             work, told,
                                                             tmp_path):
    """Also where nobody asks for exec."""
    (tmp_path / "file").touch()
    events = ["FILE_OPEN", "PROCESS_EXEC"] if told else ["FILE_OPEN"]
    runtime.set(rt.rule(*events, cgroup=[work.cgroup_id]))
    before, after = [], text(tmp_path / "file")
    work.do("fork", {"calls": [
        ["open", after, 0], ["open", after, 0],
        ["execve", text("/bin/cat"),
         {"words": [text("cat"), after, 0]}, {"words": [0]}]]})
    for one in runtime.read():
        if one.kind == rt.PROCESS:
            before.append(one)
            continue
        executable = "/usr/bin/python3" if len(before) == 1 else "/bin/cat"
        assert before[-1].file.path == os.fsencode(
            os.path.realpath(executable)), one
        assert (one.tgid, one.start) == (before[-1].tgid, before[-1].start)
    assert [one.file.path for one in before] == [
        os.fsencode(os.path.realpath(name))
        for name in ("/usr/bin/python3", "/bin/cat")]


def test_reused_number_is_another_process(runtime, work, tmp_path):  # noqa: F811
    runtime.set(rt.rule("FILE_OPEN", cgroup=[work.cgroup_id]))
    pid, _ = work.do("fork", {"calls": [["open", text(tmp_path), 0]]})
    # Somebody else may have it for a while.
    wait_for(lambda: work.do("clone", pid, [
        ["open", text(tmp_path), 0]]) == pid, "the number is free")
    records = [one for one in runtime.read() if one.tgid == pid]
    assert [one.kind for one in records] == [rt.PROCESS, rt.EVENT] * 2
    assert records[0].start == records[1].start
    assert records[2].start == records[3].start > records[0].start


def signal_while_it_waits(work, number, again):  # noqa: F811
    """In the system call of this number; again: until it waits once more."""
    def switches():
        text = Path(f"/proc/{work.pid}/status").read_text()
        return int(text.split("voluntary_ctxt_switches:")[1].split()[0])

    def waits():
        return Path(f"/proc/{work.pid}/syscall").read_text().startswith(
            f"{number} ")
    wait_for(waits, "it waits")
    before = switches()
    os.kill(work.pid, signal.SIGUSR1)
    if again:
        wait_for(lambda: switches() > before and waits(), "it waits again")


def test_call_that_is_made_again_after_a_signal_is_one(runtime,  # noqa: F811
                                                       work):
    work.do("signals", False)
    server, port = work.do("listen")
    runtime.set(rt.rule("NET_ACCEPT", cgroup=[work.cgroup_id]))
    work.begin("call", "accept", [server, 0, 0])
    signal_while_it_waits(work, 43, True)
    with socket.create_connection(("127.0.0.1", port)):
        fd = work.result()
    found, = runtime.events()
    assert found.result == fd >= 0


@pytest.mark.parametrize("again", [False, True])
def test_connect_goes_on_after_a_signal_and_is_told(runtime, work,  # noqa: F811
                                                    again):
    work.do("signals", not again)
    fd = work.do("socket")
    runtime.set(rt.rule("NET_CONNECT", cgroup=[work.cgroup_id]))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        # There is room for one that was not accepted.
        with socket.create_connection(address):
            work.begin("call", "connect",
                       [fd, text(struct.pack("=H", socket.AF_INET) +
                                 struct.pack("!H", address[1]) +
                                 socket.inet_aton(address[0]) + bytes(8)), 16])
            signal_while_it_waits(work, 42, again)
            if not again:
                assert work.result() == -errno.EINTR
            server.accept()[0].close()
            client, peer = server.accept()
        client.close()
    if again:
        assert work.result() == 0
    found = runtime.events()
    assert [one.result for one in found] == [-errno.EINTR, 0][:1 + again]
    for one in found:
        assert (one.remote.port, one.local.port) == (address[1], peer[1])
        assert one.remote.address == one.local.address == bytes([127, 0, 0, 1])


def test_thousands_of_short_processes_are_all_told(runtime, work,  # noqa: F811
                                                   tmp_path):
    runtime.set(rt.rule("PROCESS_FORK", "PROCESS_EXIT",
                        cgroup=[work.cgroup_id]))
    pids = read_during(runtime, lambda: [
        work.do("fork", {"calls": []})[0] for _ in range(2000)])
    records = [one for one in runtime.seen if one.kind == rt.EVENT]
    assert [one.args[1] for one in records if one.name == "PROCESS_FORK"] == \
        pids
    assert sorted(one.tgid for one in records if
                  one.name == "PROCESS_EXIT") == sorted(pids)


def test_script_is_told_with_its_interpreter(runtime, work,  # noqa: F811
                                             tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    runtime.set(rt.rule("PROCESS_EXEC", cgroup=[work.cgroup_id],
                        path=[script]))
    work.do("fork", {"calls": [["execve", text(script),
                                {"words": [text("script"), 0]},
                                {"words": [0]}]]})
    found, = runtime.events()
    assert found.file.path == os.fsencode(os.path.realpath("/bin/sh"))
    assert found.file2.path == os.fsencode(script)
    assert found.file2.flags == rt.STRING


def test_memfd_and_deleted_executables_are_marked(runtime, work,  # noqa: F811
                                                  tmp_path):
    program = tmp_path / "program"
    shutil.copy("/bin/true", program)
    program.chmod(0o755)
    memory = work.do("memfd_create", text("hidden"), 0)
    source = work.do("open", text(program), 0)
    assert work.do("sendfile64", memory, source, 0, 1 << 20) > 0
    program.unlink()
    runtime.set(rt.rule("PROCESS_EXEC", cgroup=[work.cgroup_id]))
    for fd in (memory, source):
        _, status = work.do("fork", {"calls": [
            ["execveat", fd, text(""), {"words": [text("x"), 0]},
             {"words": [0]}, 0x1000]]})
        assert status == 0
    first, second = runtime.events()
    assert first.file.path == b"memfd:hidden"
    assert first.file.flags & rt.MEMFD
    assert second.file.path == os.fsencode(program)
    assert second.file.flags == rt.DELETED


def test_arguments_are_told_only_where_asked_for(runtime, work):  # noqa: F811
    words = [text("true"), text("argument one"), text("x" * 2000), 0]
    command = [["execve", text("/bin/true"), {"words": words}, {"words": [0]}]]
    runtime.set(rt.rule("PROCESS_EXEC", cgroup=[work.cgroup_id]))
    work.do("fork", {"calls": command})
    found, = runtime.events()
    assert found.arguments == b""
    runtime.set(rt.rule("PROCESS_EXEC", cgroup=[work.cgroup_id]),
                flags=rt.ARGUMENTS)
    work.do("fork", {"calls": command})
    found, = runtime.events()
    assert found.arguments == (b"true\0argument one\0" + b"x" * 2000)[:1024]
    assert found.flags == rt.ARGUMENTS_CUT


def test_contents_environment_and_arguments_are_nowhere(runtime, traced,  # noqa: F811
                                                        work, tmp_path):
    canaries = [os.urandom(12).hex() for _ in range(4)]
    content, payload, environment, argument = canaries
    (tmp_path / "file").write_text(content)
    events = [name for name in rt.EVENTS if name]
    runtime.set(rt.rule(*events, cgroup=[work.cgroup_id]))
    fd = work.do("open", text(tmp_path / "file"), os.O_RDWR)
    work.do("read", fd, {"room": 64}, 64)
    work.do("write", fd, text(payload), len(payload))
    read_end, write_end = work.do("pipe")
    work.do("write", write_end, text(payload), len(payload))
    work.do("fork", {"calls": [[
        "execve", text("/bin/true"),
        {"words": [text("true"), text(argument), 0]},
        {"words": [text(f"SECRET={environment}"), 0]}]]})
    runtime.flush()
    assert len(runtime.read()) > 5
    raw = runtime.ring.rest[:]
    for canary in canaries:
        assert canary.encode() not in raw
        assert canary not in traced.log.read_text()


def test_processes_can_be_left_out(runtime, work, tmp_path):  # noqa: F811
    mine = rt.rule("FILE_OPEN", cgroup=[work.cgroup_id])
    runtime.set(mine, left_out=[(work.pid, work.start)])
    open_read(work, tmp_path)
    assert not runtime.read()
    # The number alone is not enough: it may be somebody else's by now.
    runtime.set(mine, left_out=[(work.pid, work.start - 1)])
    open_read(work, tmp_path)
    assert len(runtime.events()) == 1
