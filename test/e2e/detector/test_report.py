# SPDX-License-Identifier: Apache-2.0
"""Findings of rules that a detector is told of: what arrives, in which order and
how often, while it is there, away, or takes none."""

import json
import signal

import pytest

import feeding
from feeding import PLACE, configure, status, until, until_drained
from test_stream import scrape

CONFIG = f"""\
    findings: true
detection:
  rules: {PLACE}/rules.yaml
  rate: 0
"""
RULES = f"""\
rules:
  - name: watched
    event: file_open
    severity: error
    tags: [files, watched]
    match: {{path_prefixes: [{PLACE}/watched]}}
    output: "{{process.comm}} opened {{file.path}}"
"""
COUNTS = ("reports", "reports_sent", "reports_refused", "reports_dropped")
# In memory at one time, besides the one under way.
ROOM = 1024


@pytest.fixture(scope="module")
def place(place):
    (place / "rules.yaml").write_text(RULES)
    return place


class Growth:
    """Of the counts since it was made."""

    def __init__(self, world):
        self.world = world
        self.before = status(world)

    def get(self):
        state = status(self.world)
        assert state["reports"] == state["reports_sent"] + \
            state["reports_refused"] + state["reports_dropped"] + \
            state["reports_waiting"], state
        return {key: state[key] - self.before[key] for key in COUNTS}

    def until(self, what, **wanted):
        until(lambda: wanted.items() <= self.get().items(), what)


def told(there, events):
    return [one["labels"]["filename"] for one in there.reports(events.folder)]


def reload(world, text):
    before = world.log().count("reloaded")
    world.config.write_text(configure(text))
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: world.log().count("reloaded") > before, "it is read")


@pytest.fixture
def there(clean, peer, events):
    made = peer()
    until(lambda: status(clean)["state"] == "streaming", "it is connected")
    until(lambda: clean.ok("status")["detection"]["in_force"],
          "the rules are in force")
    return made


def test_a_hit_arrives_once_with_what_it_rests_on(clean, there, events):
    grown = Growth(clean)
    events.make(1)
    grown.until("it is told", reports_sent=1)
    until_drained(clean)
    report, = there.reports(events.folder)
    name, = events.names()
    streamed, = there.named(events.folder)
    finding, = [one for one in map(json.loads, clean.ctl(
        "findings", "-o", "json").out.splitlines())
        if one["event"]["file"]["path"] == name]
    assert report["id"] == streamed["id"] == finding["event"]["uuid"]
    assert report["reason"] == finding["text"] == f"python3 opened {name}"
    assert report["score"] == 0.8
    labels = report["labels"]
    assert labels["finding"] == finding["uuid"]
    assert (labels["rule"], labels["severity"], labels["tags"]) == \
        ("watched", "error", "files,watched")
    assert (labels["event_type"], labels["pid"], labels["comm"]) == \
        ("file_open", events.pid, "python3")
    assert labels["ts_unix_nano"] == str(finding["time_ns"])
    assert (labels["events"], labels["error"]) == ("1", "ENOENT")
    assert labels["cgroup"].endswith("/work")
    assert grown.get() == {"reports": 1, "reports_sent": 1,
                           "reports_refused": 0, "reports_dropped": 0}
    state, page = status(clean), scrape(clean)
    for what, key in zip(("made", "sent", "refused", "dropped"), COUNTS):
        assert page.get("sentinel_detector_reports_total", detector="peer",
                        what=what) == state[key]
    assert page.get("sentinel_detector_reports_held", detector="peer") == 0
    assert f"; findings: {state['reports_sent']} sent, 0 wait, " \
        f"{state['reports_refused']} refused, {state['reports_dropped']} " \
        "dropped" in clean.ctl("status").out


def test_what_it_finds_itself_is_not_told(clean, there, events):
    there.order("anomaly")
    grown, found = Growth(clean), status(clean)["anomalies"]
    events.make(10)
    until(lambda: status(clean)["anomalies"] >= found + 10, "they are found")
    until_drained(clean)
    grown.until("the rule's are told", reports_sent=10)
    assert grown.get()["reports"] == 10
    assert told(there, events) == events.names()
    assert {one["labels"]["rule"] for one in there.reports(events.folder)} == \
        {"watched"}


def test_they_wait_while_it_is_away_and_the_oldest_make_room(clean, there,
                                                             events):
    grown = Growth(clean)
    there.kill()
    until(lambda: status(clean)["state"] != "streaming", "it is away")
    made = ROOM + 300
    events.make(made)
    grown.until("all are found", reports=made)
    state = status(clean)
    assert 500 < state["reports_waiting"] <= ROOM
    assert state["reports_bytes"] <= 2 << 20
    assert grown.get() == {
        "reports": made, "reports_sent": 0, "reports_refused": 0,
        "reports_dropped": made - state["reports_waiting"]}
    there.start()
    grown.until("they are told", reports_sent=state["reports_waiting"])
    assert told(there, events) == events.names()[-state["reports_waiting"]:]
    assert status(clean)["reports_bytes"] == 0


def test_what_it_refuses_is_not_told_again(clean, there, events):
    grown = Growth(clean)
    there.end_reports_with("INVALID_ARGUMENT")
    events.make(3)
    grown.until("they are refused", reports_refused=3)
    assert told(there, events) == events.names()
    assert status(clean)["report_error"] == "INVALID_ARGUMENT: as asked"
    assert status(clean)["state"] == "streaming"
    assert any("detector 'peer' takes no findings: INVALID_ARGUMENT" in one
               for one in clean.ok("status")["warnings"])
    there.end_reports_with("OK")
    events.make(1)
    grown.until("the next one is told", reports_sent=1)
    assert told(there, events) == events.names()
    assert status(clean)["report_error"] == ""


def test_an_error_that_may_be_the_reports_is_met_four_times(clean, there,
                                                            events):
    grown = Growth(clean)
    there.end_reports_with("INTERNAL")
    events.make(2)
    grown.until("they are given up", reports_refused=2)
    assert told(there, events) == [name for name in events.names()
                                   for _ in range(4)]


def test_being_away_is_none_of_the_four_times(clean, there, events):
    grown = Growth(clean)
    there.end_reports_with("UNAVAILABLE")
    events.make(1)
    until(lambda: len(told(there, events)) > 5, "it is told again")
    there.end_reports_with("INTERNAL")
    grown.until("it is given up", reports_refused=1)
    assert [one["code"] for one in there.reports(events.folder)
            if one["code"] != "UNAVAILABLE"] == 4 * ["INTERNAL"]


def test_later_ones_wait_behind_one_that_it_has_no_time_for(clean, there,
                                                            events):
    grown = Growth(clean)
    there.end_reports_with("UNAVAILABLE")
    events.make(2)
    until(lambda: len(told(there, events)) > 5, "it is told again")
    there.end_reports_with("OK")
    grown.until("both are told", reports_sent=2)
    *again, last = told(there, events)
    assert {*again} == {events.names()[0]} and last == events.names()[1]
    assert len({one["labels"]["finding"]
                for one in there.reports(events.folder)}) == 2


def test_a_reload_switches_it_and_it_is_off_by_default(clean, there, events):
    off = CONFIG.replace("    findings: true\n", "")
    grown = Growth(clean)
    there.end_reports_with("UNAVAILABLE")
    events.make(5)
    grown.until("all are found", reports=5)
    reload(clean, off)
    grown.until("they are dropped", reports_dropped=5)
    assert not status(clean)["findings"]
    assert status(clean)["report_error"] == ""
    assert "findings:" not in clean.ctl("status").out
    there.end_reports_with("OK")
    before = len(there.reports(events.folder))
    events.make(5)
    until_drained(clean)
    assert len(there.named(events.folder)) == 10
    reload(clean, CONFIG)
    events.make(5)
    grown.until("they are told", reports_sent=5)
    assert told(there, events)[before:] == events.names()[-5:]
    assert grown.get()["reports"] == 10
