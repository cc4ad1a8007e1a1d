# SPDX-License-Identifier: Apache-2.0
"""sentinelctl trace: what it shows of a process, what it does not, and what it
says of what is missing. (That each call makes one event: test_runtime_table.py.)"""

import os
import signal
import time

import pytest

import world as worlds
from runtime_worker import text
from tracing import Work, dumped

CONFIG = """\
  budget:
    rate: 500
    burst: 1000
  arguments: true
  redact: ["--password[= ][^ ]*"]
"""
CWD = -100
CANARY = "canary-" + os.urandom(8).hex()


def rows(world):
    """The ledger by event."""
    return {row["event"]: row
            for row in world.ok("status")["runtime"]["events"]}


def watching(trace, work, event, place):
    return trace("--event", event, "--cgroup", work.folder, "--path", place)


def test_an_open_is_told_once_with_its_fields(clean, work, trace, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    seen = watching(trace, work, "file_open", tmp_path)
    before = time.time_ns()
    fd = work.do("openat", CWD, text(path), os.O_RDWR, 0)
    assert work.do("openat", CWD, text(tmp_path / "none"), os.O_RDONLY, 0) == -2
    failed, = seen.wait("file_open", error="ENOENT")
    event, = seen.find("file_open", error="")
    st = path.stat()
    exe = os.stat(f"/proc/{work.pid}/exe")
    assert before - 10 ** 7 <= event["time_ns"] <= time.time_ns()
    assert (event["result"], event["call"], event["flags"]) == (
        fd, "openat", os.O_RDWR)
    file, process = event["file"], event["process"]
    assert (file["path"], file["inode"], file["mode"]) == (
        str(path), st.st_ino, st.st_mode)
    assert os.makedev(file["device_major"], file["device_minor"]) == st.st_dev
    assert (process["pid"], process["tid"], process["uid"]) == (
        work.pid, work.pid, 0)
    assert process["parent_pid"] == os.getpid()
    assert process["executable"]["path"] == os.readlink(f"/proc/{work.pid}/exe")
    assert process["executable"]["inode"] == exe.st_ino
    assert process["cgroup"] == work.cgroup
    assert process["cgroup_id"] == work.folder.stat().st_ino
    assert process["comm"] == "python3"
    assert failed["file"]["path"] == str(tmp_path / "none")
    assert failed["file"]["as_passed"] and failed["result"] == -2
    assert failed["uuid"] != event["uuid"]


def test_a_path_ends_at_the_boundary_of_a_part(work, trace, tmp_path):
    for name in ("etc", "etcetera", "et"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    seen = watching(trace, work, "file_open", tmp_path / "etc")
    for name in ("etcetera/file", "et/file", "etc/file", "etc/../etcetera/no",
                 "et/../etc/no", "etc"):
        work.do("openat", CWD, text(tmp_path / name), os.O_RDONLY, 0)
    # The last one that is done is the last that comes.
    assert [one["file"]["path"].removeprefix(str(tmp_path))
            for one in seen.wait("file_open", 3)] == [
                "/etc/file", "/et/../etc/no", "/etc"]


def test_paths_of_the_process_and_of_the_host(work, trace, tmp_path):
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/file").write_text("x")
    (tmp_path / "bind").mkdir()
    worlds.run("mount", "--bind", tmp_path / "root/etc", tmp_path / "bind")
    try:
        seen = trace("--event", "file_open", "--cgroup", work.folder)
        work.do("close", work.do("openat", CWD, text(tmp_path / "bind/file"),
                                 os.O_RDONLY, 0))
        work.do("chroot", str(tmp_path / "root"))
        work.do("chdir", "/etc")
        work.do("openat", CWD, text("file"), os.O_RDONLY, 0)
        bound, rooted = seen.wait("file_open", 2)
    finally:
        worlds.run("umount", tmp_path / "bind")
    assert bound["file"]["path"] == str(tmp_path / "bind/file")
    assert bound["file"]["host_path"] == str(tmp_path / "root/etc/file")
    assert rooted["file"]["path"] == "/etc/file"
    assert rooted["file"]["host_path"] == str(tmp_path / "root/etc/file")
    assert rooted["file"]["inode"] == bound["file"]["inode"]


def test_a_path_of_any_bytes_comes_back_whole(work, trace, tmp_path):
    path = os.fsencode(tmp_path) + b"/line\nbreak\xff\xc3\x28\x01"
    with open(path, "wb"):
        pass
    seen = watching(trace, work, "file_open", tmp_path)
    work.do("openat", CWD, text(path), os.O_RDONLY, 0)
    event, = seen.wait("file_open")
    assert bytes.fromhex(event["file"]["raw_path"]) == path
    assert event["file"]["path"].endswith("/line\nbreak\ufffd\ufffd(\x01")


def test_a_process_is_known_by_the_attachment_that_it_is_in(clean, work, trace,
                                                            tmp_path):
    ident = clean.attach(work.folder, "--meta", "k8s.io/pod=web-1", "--meta",
                         "k8s.io/namespace=shop", policy="mode: disabled\n")
    seen = watching(trace, work, "file_open", tmp_path)

    def known():  # what was looked up before is forgotten in a second
        work.do("openat", CWD, text(tmp_path / "none"), 0, 0)
        return [one for one in seen.find("file_open")
                if one["process"]["attachment"] == ident]
    event = worlds.until(known, "the attachment is known")[0]
    assert event["process"]["pod"] == "web-1"
    assert event["process"]["namespace"] == "shop"


def test_reads_are_summed_and_the_first_is_told_at_once(work, trace, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    seen = watching(trace, work, "file_read", tmp_path)
    fd = work.do("openat", CWD, text(path), os.O_RDONLY, 0)
    work.do("repeat", 100, [["read", fd, {"room": 10}, 10]])
    first, = seen.wait("file_read", summed=False)
    assert (first["count"], first["bytes"]) == (1, 10)
    worlds.until(lambda: sum(one["count"] for one in seen.find("file_read"))
                 == 100, "all reads are told")
    sums = seen.find("file_read", summed=True)
    assert sum(one["bytes"] for one in sums) == 990
    assert len(sums) <= 3
    assert {one["file"]["path"] for one in sums} == {str(path)}


def test_one_user_that_floods_hides_nobody(clean, work, trace, tmp_path):
    flood = Work(clean, "work")
    try:
        flood.do("setuid", 65534, 65534, 65534)
        before = rows(clean)["file_open"]
        seen = watching(trace, work, "file_open", tmp_path)
        begun = time.monotonic()
        calls = [["openat", CWD, text(tmp_path / "flood"), 0, 0]]
        for i in range(10):
            flood.do("repeat", 1000, calls)
            work.do("openat", CWD, text(tmp_path / f"ten-{i}"), 0, 0)
        ended = time.monotonic()
        worlds.until(lambda: len([one for one in seen.find("file_open")
                                  if "/ten-" in one["file"]["path"]]) == 10,
                     "all ten", limit_s=1)
        seen.wait("gap", gap_cause="budget", gap_event="file_open")
    finally:
        flood.end()

    def settled():
        now = rows(clean)["file_open"]
        return now if now["generated"] - before["generated"] == 10010 else None
    after = worlds.until(settled, "the ledger has all")
    change = {key: after[key] - before[key] for key in after
              if isinstance(after[key], int)}
    assert change["generated"] == (change["sent"] + change["over_budget"] +
                                   change["ring_full"] + change["failed"])
    assert change["sent"] == (change["delivered"] + change["filtered"] +
                              change["lost"])
    # What the budget lets through, and no more.
    assert change["sent"] <= 10 + 1000 + 500 * (ended - begun + 1)
    assert change["over_budget"] > 5000
    worlds.until(lambda: sum(one["gap"] for one in seen.find("gap")) ==
                 change["over_budget"], "gaps say how many are missing")


def test_arguments_are_redacted_and_nothing_else_is_said(clean, work, trace,
                                                         tmp_path):
    """Of contents of files, of the environment, and of what is redacted."""
    (tmp_path / "file").write_text(CANARY + "-content")
    seen = trace("--cgroup", work.folder)
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\ncat \"$0\" \"$2\" >/dev/null\n")
    script.chmod(0o755)
    environment = {"words": [text(f"SECRET={CANARY}-environment"), 0]}
    arguments = {"words": [text("script"), text(f"--password={CANARY}-hidden"),
                           text(tmp_path / "file"), 0]}
    work.do("fork", {"calls": [["execve", text(script), arguments,
                                environment]]})
    seen.wait("process_exit", 2)
    exec_, = seen.find("process_exec", arguments=[
        "/bin/sh", str(script), "[redacted]", str(tmp_path / "file")]) or [None]
    assert exec_, seen.find("process_exec")
    assert exec_["file"]["path"].endswith("sh")
    assert exec_["target"]["path"] == str(script)
    said = str(seen.seen) + seen.end() + clean.logs() + \
        clean.ctl("status", "-o", "json").out
    assert CANARY not in said
    core = dumped(clean.cp.pid)
    assert os.fsencode(script) in core, "the event itself is held"
    assert CANARY.encode() not in core + dumped(clean.dp.pid)


def test_the_daemons_own_doings_are_left_out(clean, work, trace, tmp_path):
    seen = trace("--comm", "sentinel-cp", "--comm", "sentinel-dp", "--comm",
                 "marker")
    # Its state is written, and its cgroup opened.
    clean.ok("detach", clean.attach(work.folder, policy="mode: disabled\n"))
    work.do("comm", "marker")
    work.do("openat", CWD, text(tmp_path / "none"), 0, 0)
    seen.wait("file_open", error="ENOENT")
    mine = [one for one in seen.seen if one["process"] and
            one["process"]["cgroup"].startswith(
                "/" + str(clean.cgroups.relative_to(worlds.cgroup_mount())))]
    assert {one["process"]["comm"] for one in mine} == {"marker"}


def test_the_end_of_a_trace_says_what_became_of_all(work, trace, tmp_path):
    seen = watching(trace, work, "file_open", tmp_path)
    work.do("repeat", 7, [["openat", CWD, text(tmp_path / "none"), 0, 0]])
    seen.wait("file_open", 7)
    said = seen.end(signal.SIGINT)
    assert seen.child.returncode == 0
    row, = (line.split() for line in said.splitlines()
            if line.startswith("file_open"))
    assert int(row[1]) >= 7 and row[1] == row[2]


def test_nothing_is_attached_when_nobody_asks(clean, work, trace, tmp_path):
    seen = watching(trace, work, "file_open", tmp_path)
    assert clean.ok("status")["runtime"]["generation"] > 0
    seen.end()
    worlds.until(lambda: clean.ok("status")["runtime"]["generation"] == 0,
                 "the host is detached")


@pytest.mark.parametrize("daemon", ["cp", "dp"])
def test_a_daemon_that_is_killed_comes_back(clean, work, trace, tmp_path,
                                            daemon):
    seen = watching(trace, work, "file_open", tmp_path)
    work.do("openat", CWD, text(tmp_path / "before"), 0, 0)
    seen.wait("file_open")
    getattr(clean, f"kill_{daemon}")()
    clean.ensure_daemons()
    if daemon == "cp":
        seen.wait("end")
        seen = watching(trace, work, "file_open", tmp_path)
    else:
        worlds.until(lambda: clean.ok("status")["runtime"]["state"] ==
                     "in-force", "the rules are in force")
    work.do("openat", CWD, text(tmp_path / "after"), 0, 0)
    worlds.until(lambda: [one for one in seen.find("file_open") if one["file"][
        "path"].endswith("/after")], "events come again")
    # It was there before and is introduced again.
    assert seen.find("file_open")[-1]["process"]["parent_pid"] == os.getpid()


def test_requests_that_make_no_sense_are_refused(clean):
    for words, why in (
            (("--event", "file_opened"), "file_opened"),
            (("--path", "etc"), "slash"),
            (("--comm", "x" * 16), "15"),
            (("--uid", "root"), "number"),
            (("--cgroup", "/sys/fs/cgroup/none-such"), "no cgroup")):
        answer = clean.ctl("trace", *words)
        assert answer.code != 0 and why in answer.err, answer
