# SPDX-License-Identifier: Apache-2.0
"""Detection rules: what a process does becomes a finding, once, by the rules of
one file, for every kind of reader."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import world as worlds
from rest import Rest
from runtime_worker import text
from test_metrics import agent_in, scrape
from test_rest_events import Stream

CWD = -100
PLACE = Path(tempfile.gettempdir()) / f"{worlds.TAG}-{os.getpid()}-findings"
RULES = PLACE / "rules.yaml"
SECRET = PLACE / "secret"
# Values of --runtime-match.
ROOM = 4096
CONFIG = f"""\
  rules:
    - name: told
      events: [file_unlink]
      match:
        path_prefixes: [{PLACE}]
detection:
  rules: {RULES}
  memory: 64MiB
  rate: 0
rest:
  socket: true
"""
RULE = f"""\
  - name: secret
    event: file_open
    severity: warning
    tags: [files]
    match: {{pathPrefixes: [{SECRET}]}}
    output: "{{process.comm}} opened {{file.path}}"
"""


def write(rules=RULE):
    """Whole at every moment."""
    fresh = RULES.with_suffix(".new")
    fresh.write_text("rules:\n" + rules)
    fresh.chmod(0o644)
    fresh.rename(RULES)


@pytest.fixture(scope="module")
def world(host, world):
    return world


@pytest.fixture(scope="module", autouse=True)
def place(host):
    PLACE.mkdir()
    PLACE.chmod(0o755)
    SECRET.mkdir()
    (SECRET / "key").write_text("k")
    (PLACE / "plain").write_text("p")
    write()
    yield
    worlds.run("rm", "-r", PLACE)


@pytest.fixture(autouse=True)
def rules(clean):
    """Those of RULE, and the kernel has them."""
    write()
    assert clean.ok("rules", "reload")["status"]["in_force"]


class Findings:
    """sentinelctl findings -f -o json, read as it comes; begins with what is
    found after it was started."""

    def __init__(self, world, *options):
        before = world.ok("status")["detection"]
        self.skip = before["held"]
        self.seen = []
        self.condition = threading.Condition()
        self.child = subprocess.Popen(
            [str(world.bin / "sentinelctl"), "findings", "-f", "-o", "json",
             *options], text=True, stdout=subprocess.PIPE,
            env={"SENTINEL_SOCKET": str(world.api_path)})
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.child.stdout:
            with self.condition:
                self.seen.append(json.loads(line))
                self.condition.notify_all()

    def fresh(self):
        return self.seen[self.skip:]

    def wait(self, count=1, limit_s=worlds.LIMIT_S):
        with self.condition:
            came = self.condition.wait_for(
                lambda: len(self.fresh()) >= count, limit_s)
        assert came, f"{len(self.fresh())} of {count}: {self.fresh()[-3:]}"
        return self.fresh()

    def end(self):
        self.child.kill()
        self.child.wait(worlds.LIMIT_S)
        self.thread.join(worlds.LIMIT_S)
        self.child.stdout.close()


@pytest.fixture
def findings(clean):
    made = []

    def begin(*options):
        one = Findings(clean, *options)
        made.append(one)
        if not options:
            worlds.until(lambda: len(one.seen) >= one.skip,
                         "it has those of before")
        return one
    yield begin
    for one in made:
        one.end()


def touch(work, path=SECRET / "key", count=1):
    """Opens it, so many times."""
    return work.do("repeat", count, [["openat", CWD, text(path), os.O_RDONLY]])


def log(world):
    return (world.folder / "sentinel-cp.log").read_text()


def reconfigure(world, said="reloaded"):
    before = log(world).count(said)
    world.cp.send_signal(signal.SIGHUP)
    worlds.until(lambda: log(world).count(said) > before, said)


def follow(rest, last=None):
    return Stream(rest, last=last,
                  posted=("WatchFindings", {"follow": True}))


def held(world):
    answer = world.ctl("findings", "-o", "json")
    assert answer.code == 0, answer
    return [json.loads(line) for line in answer.out.splitlines()]


def test_an_open_is_a_finding_with_its_evidence(clean, work, findings):
    seen = findings()
    before = time.time_ns()
    assert touch(work, PLACE / "plain") == touch(work) == 1
    one, = seen.wait()
    assert (one["rule"], one["severity"], one["tags"], one["detector"]) == (
        "secret", "warning", ["files"], "")
    assert one["text"] == f"python3 opened {SECRET}/key"
    assert one["count"] == 1 and len(one["uuid"]) == 36
    assert before - 10 ** 8 <= one["time_ns"] <= time.time_ns() + 10 ** 8
    event = one["event"]
    assert event["event"] == "file_open" and one["uuid"] != event["uuid"]
    assert event["file"]["path"] == f"{SECRET}/key"
    assert event["process"]["pid"] == work.pid
    # This process did nothing that a rule wants: /proc knows it.
    parent = one["ancestors"][0]
    assert parent["pid"] == os.getpid()
    assert one["ancestors"][-1]["pid"] == 1 or len(one["ancestors"]) == 16
    assert parent["comm"] == Path("/proc/self/comm").read_text().strip()


def test_the_table_shows_who_did_it(clean, work):
    touch(work)
    worlds.until(lambda: str(work.pid) in clean.ctl("findings").out,
                 "the finding is shown")
    line = clean.ctl("findings").out.splitlines()[-1]
    assert "warning   secret" in line
    assert f"(python3[{work.pid}] < " in line and f"[{os.getpid()}]" in line


def test_what_only_a_rule_wants_is_no_event_of_the_configuration(
        clean, work, trace, findings):
    plain, seen = trace(), findings()
    touch(work)
    work.do("openat", CWD, text(PLACE / "gone"), os.O_CREAT | os.O_RDWR, 0o600)
    work.do("unlink", text(PLACE / "gone"))
    seen.wait()
    # The unlink comes last, and alone.
    plain.wait("file_unlink")
    assert {one["event"] for one in plain.seen} <= {"watching", "file_unlink",
                                                   "gap", "clock"}
    assert plain.find("file_unlink")[-1]["rules"] == ["told"]


def test_the_finding_of_a_process_that_has_ended(clean, work, findings):
    """While nobody reads, a shell and its child end: the kernel told of both
    before."""
    seen = findings()
    os.kill(clean.cp.pid, signal.SIGSTOP)
    try:
        done = worlds.run("sh", "-c", f"read x <{SECRET}/key; "
                          f"cat {SECRET}/key; exit 0 $$")
    finally:
        os.kill(clean.cp.pid, signal.SIGCONT)
    assert done.stdout == "k"
    shell, cat = seen.wait(2)
    assert shell["event"]["process"]["comm"] == "sh"
    assert cat["event"]["process"]["comm"] == "cat"
    assert not Path(f"/proc/{cat['event']['process']['pid']}").exists()
    parent = cat["ancestors"][0]
    assert parent["pid"] == shell["event"]["process"]["pid"]
    assert parent["executable"]["path"] == \
        shell["event"]["process"]["executable"]["path"]
    assert cat["ancestors"][1]["pid"] == os.getpid()


def test_readers_choose_by_rule_and_severity(clean, work, findings):
    write(RULE + RULE.replace("secret\n", "other\n").replace(
        "severity: warning", "severity: critical"))
    assert clean.ok("rules", "reload")["status"]["rules"] == 2
    worse, named, both = (findings("--severity", "error"),
                          findings("--rule", "secret"), findings())
    touch(work)
    both.wait(2)
    worlds.until(lambda: worse.seen and named.seen, "both have it")
    assert {one["rule"] for one in worse.seen} == {"other"}
    assert {one["rule"] for one in named.seen} == {"secret"}


def test_findings_over_http_are_taken_up_where_they_broke_off(clean, work):
    rest = Rest(clean.run_dir / "rest.sock")
    touch(work, count=3)
    worlds.until(lambda: len(held(clean)) >= 3, "they are held")
    stream = follow(rest)
    assert stream.status == 200
    cursor, first = stream.next()
    assert first["rule"] == "secret" and first["cursor"] == cursor
    stream.close()
    stream = follow(rest, cursor)
    second_cursor, second = stream.next()
    assert second["uuid"] != first["uuid"] and second_cursor != cursor
    stream.close()
    listed = rest.ask("GET", "/v1/ListRules").json
    assert listed["rules"][0]["name"] == "secret"
    assert listed["rules"][0]["severity"] == "SEVERITY_WARNING"
    assert rest.post("ReloadRules", {}).json["status"]["rules"] == 1
    refused = rest.post("WatchFindings", {"resume": "abc"})
    assert refused.status == 400 and "cursor" in refused.json["message"]


def test_a_bad_file_leaves_the_rules_and_says_where(clean, work, findings):
    seen = findings()
    write(RULE + "  - name: secret\n    event: file_nothing\n")
    refused = clean.ctl("rules", "reload")
    assert refused.code == 1
    assert "rules.yaml:" in refused.err and "\n" in refused.err
    line = refused.err.split("rules.yaml:")[1].split(":")[0]
    assert int(line) in (7, 8, 9)
    status = clean.ok("status")
    assert status["detection"]["error"] in refused.err
    assert status["detection"]["rules"] == 1
    assert any("detection rules were refused" in one
               for one in status["warnings"])
    # Nor does a reload of the whole configuration take it.
    reconfigure(clean, "the rules before stay")
    touch(work)
    seen.wait()
    write()
    reconfigure(clean)
    assert clean.ok("status")["detection"]["error"] == ""


def test_more_than_the_kernel_takes_changes_nothing(clean, work, findings):
    """With the rule of the configuration these are one more than there may be."""
    seen = findings()
    touch(work)
    worlds.until(lambda: clean.ok("rules", "list")["rules"][0]["hits"],
                 "a hit is counted")
    hits = clean.ok("rules", "list")["rules"][0]["hits"]
    write("".join(f"  - {{name: r{number}, event: file_open, match: "
                  f"{{paths: [/none/{number}]}}}}\n" for number in range(1024)))
    refused = clean.ctl("rules", "reload")
    assert refused.code == 1
    assert "does not go into the kernel" in refused.err
    assert clean.ok("rules", "list")["rules"][0]["hits"] == hits
    touch(work)
    assert seen.wait(2)[1]["rule"] == "secret"


def wide(number):
    """A rule that hits what RULE hits, and has so many more values."""
    paths = ", ".join(f"/huge/{at}" for at in range(number))
    return (RULE.replace("secret\n", "wide\n").replace(
        f"[{SECRET}]", f"[{SECRET}, {paths}]"))


@pytest.mark.parametrize("how", ["call", "signal"])
def test_what_sentinel_dp_has_no_room_for_is_told_until_it_is_mended(
        clean, work, findings, how):
    """Those before are in force, and nothing is claimed for the others."""
    web, seen = agent_in(clean), findings()
    before = clean.ok("status")["detection"]
    refusals = scrape(web).get("sentinel_rules_files_total", result="refused")
    write(wide(ROOM))
    if how == "call":
        refused = clean.ctl("rules", "reload")
        assert refused.code == 1 and "--runtime-match" in refused.err, refused
    else:
        reconfigure(clean)
    worlds.until(lambda: clean.ok("status")["detection"]["error"],
                 "status says it")
    status = clean.ok("status")
    assert "--runtime-match" in status["detection"]["error"]
    assert any("detection rules were refused" in one
               for one in status["warnings"])
    assert not any("runtime.enabled" in one for one in status["warnings"])
    assert status["detection"]["loaded_ns"] == before["loaded_ns"]
    assert status["detection"]["in_force"]
    worlds.until(lambda: scrape(web).get("sentinel_rules_files_total",
                                         result="refused") == refusals + 1,
                 "a metric says it")
    # Nobody else is kept out by them.
    worlds.until(lambda: clean.ok("status")["runtime"]["state"] == "in-force",
                 "the kernel has what there was")
    assert clean.ok("status")["runtime"]["error"] == ""
    page = scrape(web)
    assert page.get("sentinel_rules_in_force") == 1
    assert page.get("sentinel_rules_hits_total", rule="wide") is None
    assert page.get("sentinel_rules_hits_total", rule="secret") is not None
    # The kernel sends it for the rule before; the refused one would hit as well.
    touch(work)
    assert [one["rule"] for one in seen.wait()] == ["secret"]
    assert [one["name"] for one in clean.ok("rules", "list")["rules"]] == \
        ["secret"]
    write(wide(1))
    reconfigure(clean)
    worlds.until(lambda: clean.ok("rules", "list")["rules"][0]["name"] == "wide",
                 "it is mended")
    # By signal: they judge before all that goes with them is settled.
    worlds.until(lambda: clean.ok("status")["detection"]["in_force"],
                 "it is in force")
    status = clean.ok("status")
    assert status["detection"]["error"] == status["runtime"]["error"] == ""
    touch(work)
    assert [one["rule"] for one in seen.wait(2)] == ["secret", "wide"]


def test_hits_are_listed_and_outlive_a_reload(clean, work):
    def row():
        listed, = clean.ok("rules", "list")["rules"]
        return listed
    before = row()
    assert touch(work, count=4) == 4
    worlds.until(lambda: row()["hits"] == before["hits"] + 4, "they are counted")
    clean.ok("rules", "reload")
    after = row()
    assert after["hits"] == before["hits"] + 4
    assert abs(after["last_hit_ns"] - time.time_ns()) < 60 * 10 ** 9
    assert (after["events"], after["line"]) == (["file_open"], 2)
    table = clean.ctl("rules", "list").out.splitlines()
    assert table[0].split()[:3] == ["RULE", "SEVERITY", "ENABLED"]
    assert table[1].split()[:4] == ["secret", "warning", "yes",
                                    str(after["hits"])]


def test_a_reload_changes_rules_between_two_events(clean, work, findings):
    """Every open hits the rule of exactly one of two files while these are
    exchanged under it; none is missing, none is judged by both."""
    files = [RULE, RULE.replace("warning", "error").replace(
        '"{', '"now {').replace("[files]", "[changed]")]
    seen = findings()
    took = []
    done = threading.Event()

    def exchange():
        try:
            for at in range(12):
                write(files[at % 2])
                began = time.monotonic()
                assert clean.ok("rules", "reload")["status"]["in_force"]
                took.append(time.monotonic() - began)
        finally:
            done.set()

    thread = threading.Thread(target=exchange)
    thread.start()
    count = 0
    # No faster than they are found: what is missing is missing for a reload.
    while not done.is_set():
        count += touch(work, count=50)
        seen.wait(count)
    thread.join()
    assert len(took) == 12
    found = seen.wait(count)
    touch(work)
    found = seen.wait(count + 1)
    assert len(found) == count + 1
    kinds = {(one["severity"], one["tags"][0], one["text"][:4])
             for one in found}
    assert kinds == {("warning", "files", "pyth"), ("error", "changed", "now ")}
    assert len({one["event"]["uuid"] for one in found}) == count + 1
    # Others use the machine as well: the best one is the measure.
    assert min(took) < 1


def test_what_is_over_the_rate_is_counted_and_told(clean, work, findings):
    whole = clean.config.read_text()
    clean.config.write_text(whole.replace("rate: 0\nrest", "rate: 1\n"
                                          "  burst: 5\nrest"))
    try:
        reconfigure(clean)
        seen = findings()
        before, = clean.ok("rules", "list")["rules"]
        touch(work, count=200)
        worlds.until(lambda: sum(one["gap"] if one["is_gap"] else 1
                                 for one in seen.fresh()) >= 200,
                     "the gap is told")
        after, = clean.ok("rules", "list")["rules"]
        assert after["hits"] == before["hits"] + 200
        told = [one for one in seen.fresh() if not one["is_gap"]]
        gaps = [one for one in seen.fresh() if one["is_gap"]]
        assert {one["rule"] for one in gaps} == {"secret"}
        assert sum(one["gap"] for one in gaps) + len(told) == 200
        assert after["limited"] - before["limited"] == 200 - len(told)
        assert 5 <= len(told) < 200
        # Nor is it lost with the rule.
        seen = findings()
        assert touch(work, count=200) == 200
        worlds.until(lambda: clean.ok("rules", "list")["rules"][0]["hits"] ==
                     after["hits"] + 200, "they are judged")
        write(RULE.replace("name: secret", "name: other"))
        assert clean.ok("rules", "reload")["status"]["in_force"]
        worlds.until(lambda: sum(one["gap"] if one["is_gap"] else 1
                                 for one in seen.fresh()) >= 200, "it is told")
        assert {one["rule"] for one in seen.fresh()} == {"secret"}
    finally:
        clean.config.write_text(whole)
        reconfigure(clean)


def test_findings_and_hits_are_metrics(clean, work):
    web = agent_in(clean)
    hits = "sentinel_rules_hits_total"
    found = dict(kind="rule", source="secret", severity="warning")
    before = scrape(web)
    # Also of a rule that found nothing yet.
    assert before.get("sentinel_findings_total", **found) is not None
    touch(work, count=3)
    worlds.until(lambda: scrape(web).get(hits, rule="secret") ==
                 before.get(hits, rule="secret") + 3, "they are counted")
    page = scrape(web)
    assert page.get("sentinel_findings_total", **found) == \
        before.get("sentinel_findings_total", **found) + 3
    assert page.get("sentinel_findings_limited_total", kind="rule",
                    source="secret") >= 0
    assert page.get("sentinel_rules", state="enabled") == 1
    assert page.get("sentinel_rules_in_force") == 1


def test_the_log_names_the_rule_and_no_path(clean, work, findings):
    seen = findings()
    touch(work)
    seen.wait()

    def lines():
        return [one for one in log(clean).splitlines()
                if f"rule='secret' pid={work.pid}" in one]
    # A reader may have it before the log does.
    worlds.until(lines, "it is logged")
    line, = lines()
    assert "finding severity=warning" in line and str(SECRET) not in line


def test_who_resumes_after_a_restart_is_told(clean, work):
    touch(work)
    worlds.until(lambda: held(clean), "it is held")
    rest = Rest(clean.run_dir / "rest.sock")
    stream = follow(rest)
    cursor, _ = stream.next()
    stream.close()
    clean.kill_cp()
    clean.start_cp()
    worlds.until(lambda: clean.ok("status")["detection"]["in_force"],
                 "the kernel has the rules")
    stream = follow(rest, cursor)
    _, gap = stream.next()
    assert gap["isGap"] and int(gap.get("gap", 0)) == 0
    touch(work)
    assert stream.next()[1]["rule"] == "secret"
    stream.close()


def test_a_daemon_does_not_start_with_bad_rules(clean):
    write("  - name: x\n")
    done = subprocess.run(
        [clean.bin / "sentinel-cp", "--config", clean.config,
         "--check-config"], text=True, capture_output=True)
    assert done.returncode == 2
    assert f"{RULES}:2: " in done.stderr
