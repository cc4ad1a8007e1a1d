# SPDX-License-Identifier: Apache-2.0
"""Rules of the configuration: the file that their events go to, and readers that
are slow, gone for a while, or come back."""

import json
import os
import pwd
import resource
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

import world as worlds
from rest import Rest
from runtime_worker import text
from test_metrics import agent_in, scrape
from test_rest_events import Stream
from tracing import dumped
from traffic import A, B, each

CWD = -100
CANARY = f"canary-{os.urandom(8).hex()}"
# Known before the daemons are, and searched by everybody.
PLACE = Path(tempfile.gettempdir()) / f"{worlds.TAG}-{os.getpid()}-runtime"
DISK = PLACE / "disk"
# Others on this host have paths that are cut, of which the rules cannot know.
COMM, SECRETS, ENV = (f"{name}-{os.getpid()}" for name in ("out", "hush", "env"))
CONFIG = f"""\
  memory: 64KiB
  budget:
    rate: 0
  output:
    path: {DISK}/events
    max_size: 64MiB
    journal: true
  rules:
    - name: watched
      events: [file_open, file_unlink]
      match:
        path_prefixes: [{PLACE}/watched]
        comms: [{COMM}]
    - name: secrets
      events: [file_open, file_read, file_write, process_exec, net_connect]
      match:
        comms: [{SECRETS}, {ENV}]
"""


@pytest.fixture(scope="module", autouse=True)
def disk(host):
    """A small disk, which the daemon's user may write."""
    account = pwd.getpwnam(worlds.USER)
    for folder in (PLACE, DISK, PLACE / "watched"):
        folder.mkdir()
        folder.chmod(0o755)
    worlds.run("mount", "-t", "tmpfs", "-o",
               f"size=2m,uid={account.pw_uid},mode=700", "tmpfs", DISK)
    yield
    worlds.run("umount", DISK)
    worlds.run("rm", "-r", PLACE)


@pytest.fixture(scope="module")
def world(disk, world):
    return world


@pytest.fixture
def work(work):
    work.do("comm", COMM)
    return work


def lines():
    """Behind the last end of a line is what is being written, or did not fit and
    is about to be cut off. There is no file before the first line."""
    file = DISK / "events"
    return [json.loads(line) for line in
            (file.read_bytes() if file.exists() else b"").split(b"\n")[:-1]]


def opened(work, name, count=1):
    return work.do("repeat", count, [["openat", CWD, text(
        PLACE / "watched" / name), 0, 0]])


def of_file(name):
    return [one for one in lines() if one["event"] == "file_open" and
            one["file"]["path"] == str(PLACE / "watched" / name)]


def of_rest(world, last=None, **request):
    stream = Stream(Rest(world.run_dir / "rest.sock"), last=last,
                    posted=("WatchRuntime", request))
    assert stream.status == 200
    return stream


def in_force(world):
    worlds.until(lambda: world.ok("status")["runtime"]["state"] == "in-force",
                 "the rules are in force")


def test_the_file_has_each_event_once_with_its_rule(clean, work):
    in_force(clean)
    opened(work, "one")
    worlds.until(lambda: (DISK / "events").exists() and of_file("one"),
                 "the file has it")
    event, = of_file("one")
    assert event["rules"] == ["watched"]
    assert event["process"]["pid"] == work.pid
    assert (DISK / "events").stat().st_mode & 0o777 == 0o600
    # The file may have it before the log does.
    worlds.until(lambda: f"runtime event=file_open uuid={event['uuid']}" in
                 clean.log(), "it is logged")


def test_what_readers_ask_for_is_not_the_configurations(clean, work, trace,
                                                         tmp_path):
    in_force(clean)
    seen = trace("--event", "file_open", "--cgroup", work.folder, "--path",
                 tmp_path)
    work.do("openat", CWD, text(tmp_path / "other"), 0, 0)
    opened(work, "two")
    event, = seen.wait("file_open")
    assert event["rules"] == []
    worlds.until(lambda: of_file("two"), "the file has its own")
    assert not [one for one in lines() if one["file"] and
                "other" in one["file"]["path"]]
    assert len(seen.find("file_open")) == 1


def test_a_reader_without_a_filter_sees_what_the_rules_want(clean, work, trace):
    in_force(clean)
    seen = trace()
    opened(work, "three")
    event, = seen.wait("file_open")
    assert event["rules"] == ["watched"]


def work_with_secrets(work):
    """Contents, payload, environment and arguments that are canaries."""
    place = PLACE / f"shown-{CANARY}"
    place.write_text(f"{CANARY}-content")
    secret = text(f"{CANARY}-written")
    with socket.create_server(("127.0.0.1", 0)) as server:
        work.do("comm", SECRETS)
        fd = work.do("openat", CWD, text(place), os.O_RDWR, 0)
        assert work.do("read", fd, {"room": 100}, 100) > 0
        assert work.do("write", fd, secret, len(CANARY) + 8) > 0
        peer = work.do("socket", socket.AF_INET, socket.SOCK_STREAM)
        address = {"words": [int.from_bytes(
            socket.AF_INET.to_bytes(2, "little") +
            server.getsockname()[1].to_bytes(2, "big") +
            socket.inet_aton("127.0.0.1"), "little"), 0]}
        assert work.do("connect", peer, address, 16) == 0
        assert work.do("write", peer, secret, len(CANARY) + 8) > 0
        near, _ = server.accept()
        with near:
            assert near.recv(100) == f"{CANARY}-written".encode()
    program = PLACE / ENV
    if not program.exists():
        program.symlink_to("/usr/bin/env")
    work.do("fork", {"calls": [["execve", text(program), {
        "words": [text("env"), text("-u"), text(f"{CANARY}-argument"),
                  text("true"), 0]}, {
        "words": [text(f"SECRET={CANARY}-environment"), 0]}]]})


@pytest.fixture
def arguments(request, clean):
    """Whether they are told; what is a canary in them is redacted."""
    def put(extra):
        before = clean.ok("status")["runtime"]["generation"]
        clean.config.write_text(plain.replace(CONFIG, extra + CONFIG))
        clean.cp.send_signal(signal.SIGHUP)
        worlds.until(lambda: clean.ok("status")["runtime"]["generation"] !=
                     before, "other rules are in force")
    plain = clean.config.read_text()
    if request.param:
        put(f"  arguments: true\n  redact: [\"{CANARY}-argumen[t]\"]\n")
    yield request.param
    if request.param:
        put("")


def told_by(world, seen, table):
    """What leaves the daemons, by the way that it takes."""
    stream = of_rest(world)
    rest = Rest(world.run_dir / "rest.sock")
    told = {"stream": str(seen.seen), "stream over REST": str(stream.all()),
            "metrics": worlds.run(*world.network.enter("router"), "curl", "-sS",
                                  "http://127.0.0.1:9102/metrics").stdout,
            "status": world.ctl("status", "-o", "json").out,
            "status over REST": rest.post("GetStatus", {}).body,
            "doctor": world.ctl("doctor", "-o", "json").out,
            "blocked": world.ctl("events", "-o", "json").out,
            "log": (world.folder / "sentinel-cp.log").read_text(
                errors="replace")}
    stream.close()
    table.terminate()
    told["table"] = "".join(table.communicate())
    found = {name: text.encode() for name, text in told.items()}
    for name, folder in (("file", DISK), ("state", world.state_dir),
                         ("folder", world.folder), ("run", world.run_dir)):
        found[name] = b"".join(path.read_bytes() for path in folder.rglob("*")
                               if path.is_file() and path.parent != world.bin)
    for name, daemon in (("cp", world.cp), ("dp", world.dp)):
        found["memory of " + name] = dumped(daemon.pid)
    return found


@pytest.mark.parametrize("arguments", [False, True], indirect=True)
def test_secrets_are_in_nothing_that_is_told_or_kept(clean, work, trace,
                                                     arguments):
    in_force(clean)
    seen = trace("--cgroup", work.folder)
    table = subprocess.Popen(
        [clean.bin / "sentinelctl", "trace"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env={"SENTINEL_SOCKET": str(clean.api_path)})
    assert table.stderr.readline() == "watching\n"
    work_with_secrets(work)
    for name in ("file_read", "file_write", "net_connect", "process_exit"):
        seen.wait(name)
    uuid = seen.wait("process_exec")[0]["uuid"]
    worlds.until(lambda: [one for one in lines() if one["uuid"] == uuid],
                 "the file has it")
    found = told_by(clean, seen, table)
    # What may be told is found wherever it is.
    ways = ("stream", "stream over REST", "table", "log", "file",
            "memory of cp")
    for way in ways:
        assert f"/shown-{CANARY}".encode() in found[way], way
    for way in ("stream", "stream over REST", "file"):
        assert (b"[redacted]" in found[way]) == arguments, way
    assert b'sentinel_runtime_events_total{event="process_exec"}' in \
        found["metrics"]
    assert b"process_exec" in found["status"] and \
        b"process_exec" in found["status over REST"]
    for way, text_ in found.items():
        for secret in ("content", "written", "argument", "environment"):
            assert f"{CANARY}-{secret}".encode() not in text_, (way, secret)


def test_a_reader_that_stops_is_told_what_it_missed(clean, work, trace,
                                                    tmp_path):
    in_force(clean)
    # All of them fit into the kernel's ring, however late they are read.
    count = 1500
    seen = trace("--event", "file_open", "--cgroup", work.folder)
    seen.child.send_signal(signal.SIGSTOP)
    before, others = delivered(clean), delivered_of_others(clean)
    # More than the store, the socket and the pipe hold together.
    work.do("repeat", count, [["openat", CWD, text(tmp_path / ("n" * 200)), 0,
                               0]])
    worlds.until(lambda: delivered(clean) >= before + count,
                 "the daemon has read all")
    seen.child.send_signal(signal.SIGCONT)

    def told():
        return len(seen.find("file_open")) + sum(
            one["gap"] for one in seen.find("gap", gap_cause="reader"))
    worlds.until(lambda: told() >= count, "the slow reader has all, or knows")
    # What is missed may be no file_open: a sum of what ran before.
    others = delivered_of_others(clean) - others
    assert count <= told() <= count + others
    assert seen.find("gap", gap_cause="reader")
    assert seen.find("file_open")


def ledger(world):
    row, = (one for one in world.ok("status")["runtime"]["events"]
            if one["event"] == "file_open")
    return row


def delivered(world):
    """What the kernel has sent is counted once a second, what was read at once."""
    return ledger(world)["delivered"]


def delivered_of_others(world):
    return sum(row["delivered"] for row in
               world.ok("status")["runtime"]["events"]
               if row["event"] != "file_open")


def opened_and_read(world, work, name, count):
    before = delivered(world)
    opened(work, name, count)
    worlds.until(lambda: delivered(world) >= before + count,
                 "the daemon has read all")


def between(first, last):
    """How many events stand behind one cursor and not behind another one. Sums
    of what ran before are among them."""
    return int(last.split("-")[2]) - int(first.split("-")[2])


def test_metrics_have_the_ledger(clean, work):
    in_force(clean)
    web = agent_in(clean)
    before = scrape(web)
    opened(work, "counted", 200)
    worlds.until(lambda: len(of_file("counted")) == 200, "all are written")
    after = scrape(web)
    for name, count in (("generated", 200), ("events", 200), ("dropped", 0),
                        ("filtered", 0)):
        change = [page.sum(f"sentinel_runtime_{name}_total", event="file_open")
                  for page in (before, after)]
        assert change[1] - change[0] == count, name


def test_a_stream_over_rest_is_taken_up_behind_its_last_event(clean, work):
    in_force(clean)
    for name in ("rest-1", "rest-2", "rest-3"):
        opened(work, name)
    worlds.until(lambda: of_file("rest-3"), "it is told")
    stream = of_rest(clean)
    got = opens(stream)
    stream.close()
    assert [one["file"]["path"].rpartition("/")[2] for _, one in got][-3:] == [
        "rest-1", "rest-2", "rest-3"]
    assert all(ident == one["cursor"] for ident, one in got)
    again = of_rest(clean, last=got[-3][0])
    assert opens(again) == got[-2:]
    again.close()
    # With a filter, and from there on.
    follow = of_rest(clean, last=got[-2][0], follow=True,
                     events=["file_open"], comms=[COMM])
    assert follow.next() == got[-1]
    opened(work, "rest-4")
    while (one := follow.next()[1])["event"] != "file_open":
        assert one["event"] == "watching"
    assert one["file"]["path"].endswith("/rest-4")
    follow.close()
    # What was overwritten meanwhile is told, to the last one.
    opened_and_read(clean, work, "rest-many", 600)
    late = of_rest(clean, last=got[-1][0])
    (_, first), *rest = late.all()
    late.close()
    assert (first["event"], first["gapCause"]) == ("gap", "RUNTIME_CUT_READER")
    n_all = between(got[-1][0], rest[-1][0])
    assert int(first["gap"]) + len(rest) == n_all >= 601


def opens(stream):
    """Sums of what ran before may come in between."""
    return [one for one in stream.all() if one[1]["event"] == "file_open"]


def names(events):
    return [one["file"]["path"].rpartition("/")[2] for one in events]


def test_a_trace_is_taken_up_behind_an_event(clean, work, trace):
    in_force(clean)
    first = trace()
    for number in range(3):
        opened(work, f"trace-{number}")
    seen = first.wait("file_open", 3)
    first.end()
    again = trace("--resume", seen[0]["cursor"])
    assert names(again.wait("file_open", 2)) == ["trace-1", "trace-2"]
    opened(work, "trace-3")
    assert names(again.wait("file_open", 3)) == ["trace-1", "trace-2", "trace-3"]
    # What was overwritten meanwhile is told, to the last one.
    opened_and_read(clean, work, "trace-many", 600)
    late = trace("--resume", seen[2]["cursor"])

    def told():
        return [one for one in late.seen if one["event"] not in ("watching",
                                                                 "gap")]

    def n_all(events):
        return between(seen[2]["cursor"], events[-1]["cursor"])
    events = worlds.until(lambda: (now := told()) and n_all(now) >= 601 and now,
                          "all are told or missing")
    gap, = late.find("gap")
    assert gap["gap_cause"] == "reader"
    assert gap["gap"] + len(events) == n_all(events)
    # Of another run it is not known how many there were.
    other = trace("--resume", "0000000000000001-7-7")
    gap, = other.wait("gap", gap_cause="restart")
    assert gap["gap"] == 0
    answer = clean.ctl("trace", "--resume", "nonsense")
    assert answer.code != 0 and "resume" in answer.err, answer


@pytest.mark.parametrize("last", ["nonsense", "0000000000000001-7",
                                  "0000000000000001-7-7x"])
def test_a_position_over_rest_that_is_none_is_refused(clean, last):
    answer = Rest(clean.run_dir / "rest.sock").post(
        "WatchRuntime", {}, headers=["Content-Type: application/json",
                                     f"Last-Event-ID: {last}"])
    assert answer.status == 400 and "resume" in answer.json["message"]


def test_a_position_over_rest_of_another_run_is_told_as_a_gap(clean):
    stream = of_rest(clean, last="0000000000000001-7-7")
    ident, event = stream.next()
    stream.close()
    assert ident is None
    assert (event["event"], event["gapCause"]) == ("gap", "RUNTIME_CUT_RESTART")


def test_a_full_disk_costs_lines_that_are_counted_and_told(clean, work):
    in_force(clean)
    opened(work, "fits")
    worlds.until(lambda: of_file("fits"), "the file has it")
    fits, = of_file("fits")
    with open(DISK / "filler", "wb", buffering=0) as filler:
        with pytest.raises(OSError):
            while True:
                filler.write(b"x" * 4096)
    opened_and_read(clean, work, "lost", 20)
    worlds.until(lambda: clean.ok("status")["runtime"]["file_error"],
                 "the disk is full")
    assert any("lacks events" in text
               for text in clean.ok("status")["warnings"])
    (DISK / "filler").unlink()
    opened(work, "after")
    worlds.until(lambda: of_file("after"), "the file goes on")
    # Of the others that were told meanwhile are the sums of what ran before.
    stream = of_rest(clean)
    events = [one for _, one in stream.all() if one.get("file")]
    stream.close()
    after, = of_file("after")
    told = [one["uuid"] for one in events]
    begin, end = told.index(fits["uuid"]) + 1, told.index(after["uuid"])
    assert names(events[begin:end]).count("lost") == 20
    told = told[begin:end]
    seen = lines()
    seen = seen[seen.index(fits) + 1:seen.index(after)]
    gaps = [one["gap"] for one in seen if one["event"] == "gap"]
    kept = [one["uuid"] for one in seen if one["event"] != "gap"]
    assert gaps and all(one["gap_cause"] == "file" for one in seen if
                        one["event"] == "gap")
    assert len(kept) + sum(gaps) == len(told)
    assert set(kept) < set(told)
    assert "file=" in clean.log()


def test_a_killed_daemon_loses_nothing_in_silence(clean, work):
    in_force(clean)
    opened(work, "before")
    worlds.until(lambda: of_file("before"), "it is written")
    clean.kill_cp()
    opened(work, "meanwhile", 3)
    clean.ensure_daemons()
    # The kernel went on, and its ring kept them.
    worlds.until(lambda: len(of_file("meanwhile")) == 3, "they come afterwards")
    assert [one for one in lines() if one["event"] == "gap" and
            one["gap_cause"] == "restart"]


def test_a_ring_that_nobody_reads_changes_no_verdict(clean, work, box):
    in_force(clean)
    box.attach(policy="dns: {steering: false}\n"
                      "cidrs: [{allow: 10.20.0.0/16}, {allow: fd20::/16}]\n")
    before = ledger(clean)["ring_full"]
    clean.kill_cp()
    opened(work, "unread", 10000)
    box.judge([*each(A, True), *each(B, False)])
    clean.ensure_daemons()
    assert box.show()["state"] == "enforced"
    worlds.until(lambda: ledger(clean)["ring_full"] > before,
                 "it has been full")


def test_the_daemons_leave_no_core(clean):
    # A process that may leave one owns its files in /proc.
    assert os.stat(f"/proc/{clean.cp.pid}/environ").st_uid == 0
    resource.prlimit(clean.dp.pid, resource.RLIMIT_CORE, (1 << 30, 1 << 30))
    os.kill(clean.dp.pid, signal.SIGSEGV)
    status = os.waitid(os.P_PID, clean.dp.pid, os.WEXITED | os.WNOWAIT)
    assert status.si_code == os.CLD_KILLED, "not CLD_DUMPED"
