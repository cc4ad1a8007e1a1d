# SPDX-License-Identifier: Apache-2.0
"""The stream as a detector of another implementation sees it: every field, and
what becomes of it when the detector does what it should not."""

import json
import os
import socket
import time

import feeding
from feeding import check_all, check_ledger, status, until, until_drained
from prometheus import Page
from world import HERE, Agent

IS_LONG = "SN_SOAK" in os.environ
CONFIG = """\
    queue: 4MiB
    answer_timeout: 2s
"""


def test_an_event_arrives_with_every_field(clean, peer, events):
    there = peer("--full")
    before = time.time_ns()
    events.make(1)
    event, = until(lambda: [one for one in there.got() if
                            one["event_type"] == "file_open"], "it arrives")
    assert len(event["event_id"]) == 36 and event["event_id"][14] == "8"
    assert event["hostname"] == socket.gethostname()
    assert before < event["ts_unix_nano"] < time.time_ns()
    data = event["data"]
    assert data["filename"] == f"{events.folder}/00000000"
    assert data["pid"] == data["tid"] == events.pid
    assert data["comm"] == "python3"
    assert (data["uid"], data["gid"]) == ("0", "0")
    assert (data["result"], data["error"]) == ("-2", "ENOENT")
    assert data["call"] == "openat"
    attributes = event["attributes"]
    assert attributes["as_passed"] == "true"
    assert attributes["executable"].startswith("/usr/bin/python3")
    assert attributes["cgroup"].endswith("/work")
    assert attributes["cgroup_id"] == str(os.stat(
        clean.cgroup("work")).st_ino)
    state = until_drained(clean)
    assert state["state"] == "streaming" and state["insecure"]
    assert state["delivered"] == len(there.got())


def test_rate(clean, peer, events):
    there = peer()
    events.make(1)
    until_drained(clean)
    count = 100000 if IS_LONG else 4000
    start = time.monotonic()
    events.make_all(clean, count)
    made = time.monotonic() - start
    state = until_drained(clean)
    seconds = time.monotonic() - start
    print(f"\n{count} events made in {made:.2f} s, answered by one process of "
          f"python3-grpcio in {seconds:.2f} s: {count / seconds:.0f} events/s")
    check_all(there, events)
    assert feeding.dropped(state) == 0


def test_rubbish_is_counted_and_the_stream_goes_on(clean, peer, events):
    there = peer()
    there.order("rubbish")
    before = status(clean)
    events.make(10)
    state = until_drained(clean)
    check_all(there, events)
    grown = {key: state[key] - before[key] for key in state
             if isinstance(state[key], int) and not
             isinstance(state[key], bool)}
    assert grown["delivered"] == grown["accepted"] >= 10
    until(lambda: status(clean)["unknown_answers"] -
          before["unknown_answers"] >= 40, "all answers are judged")
    state = status(clean)
    assert state["malformed_answers"] - before["malformed_answers"] >= 10
    assert state["wrong_scores"] - before["wrong_scores"] >= 10
    assert state["cut_reasons"] - before["cut_reasons"] >= 10
    assert state["anomalies"] == before["anomalies"]
    assert state["state"] == "streaming"
    assert len(there.streams) == 1
    check_ledger(state)


def test_anomalies_are_counted_and_found(clean, peer, events):
    there = peer()
    there.order("anomaly")
    before = status(clean)["anomalies"]
    events.make(3)
    until_drained(clean)
    assert status(clean)["anomalies"] >= before + 3
    found = [json.loads(line) for line in
             clean.ctl("findings", "-o", "json").out.splitlines()]
    found = [one for one in found if one.get("detector") == "peer" and
             one["event"]["file"]["path"] in events.names()]
    assert len(found) == 3
    assert (found[0]["severity"], found[0]["text"], found[0]["score"]) == \
        ("warning", "as asked", 0.5)
    assert str(found[0]["event"]["process"]["pid"]) == events.pid


def scrape(world):
    agent = Agent([*world.in_cgroup("agents"), *world.network.enter("router")],
                  HERE / "web.py")
    try:
        return Page(agent.get(port=9102)["body"])
    finally:
        agent.end()


def test_metrics_and_status_say_the_same(clean, peer, events):
    peer()
    events.make(50)
    until_drained(clean)
    state, page = status(clean), scrape(clean)

    def get(name, **labels):
        return page.get(f"sentinel_detector_{name}", detector="peer", **labels)
    assert get("state", state="streaming") == 1
    for what in ("accepted", "recovered", "delivered", "sent"):
        assert get("events_total", what=what) == state[what]
    for cause in ("queue", "spool", "disk", "unanswered", "memory"):
        assert get("dropped_total", cause=cause) == state[f"dropped_{cause}"]
    assert get("held", where="memory") == get("held", where="disk") == 0
    assert get("anomalies_total") == state["anomalies"]
    assert get("streams_total") == state["streams"]
    assert f"detector     peer: streaming, http://127.0.0.1:{feeding.PORT} " \
        f"(NOT ENCRYPTED, NOT VERIFIED), {state['delivered']} delivered, 0 " \
        f"wait, {feeding.dropped(state)} dropped" in clean.ctl("status").out


def test_an_answer_of_100_mib_ends_the_stream_and_nothing_else(clean, peer,
                                                               events):
    there = peer()
    there.order("flood")
    events.make(1)
    until(lambda: "RESOURCE_EXHAUSTED" in status(clean)["error"],
          "the stream is ended with the reason")
    there.order("answer")
    until_drained(clean)
    check_all(there, events)


def test_a_detector_that_ends_streams_gets_events_again(clean, peer, events):
    there = peer()
    there.order("end")
    events.make(3)
    until(lambda: len(there.streams) > 3, "it is tried again")
    assert "ended the stream" in status(clean)["error"]
    there.order("answer")
    until_drained(clean)
    check_all(there, events)


def test_a_detector_that_stops_reading_is_left(clean, peer, events):
    """Neither the loop nor memory suffers, and what had no room is counted."""
    there = peer()
    there.order("stop")
    before = status(clean)
    events.make(20000)
    until(lambda: "does not" in status(clean)["error"],
          "the stream is ended with the reason")
    state = until(lambda: (found := status(clean))["accepted"] -
                  before["accepted"] >= 20000 and found, "all were told")
    check_ledger(state)
    assert state["dropped_queue"] > before["dropped_queue"]
    assert state["memory_bytes"] < 5 << 20
    there.kill()
    there.start()
    until_drained(clean)


def test_a_detector_that_never_answers_does_not_block_for_ever(clean, peer,
                                                               events):
    """An event that several streams sent in vain is given up, and counted."""
    there = peer()
    there.order("quiet")
    before = status(clean)["dropped_unanswered"]
    events.make(1)
    until(lambda: status(clean)["dropped_unanswered"] > before,
          "it is given up")
    check_ledger(status(clean))
    assert len([one for one in there.named(events.folder)]) == 4


def test_a_detector_that_is_slow_and_answers_is_not_left(clean, peer, events):
    """Each event has its own time, behind those before it."""
    there = peer()
    there.order("slow")
    before = feeding.dropped(status(clean))
    events.make(400)
    state = until_drained(clean)
    check_all(there, events)
    assert feeding.dropped(state) == before and len(there.streams) == 1


def test_streams_that_it_ended_itself_are_none_without_answers(clean, peer,
                                                               events):
    there = peer()
    there.order("end")
    before = status(clean)["dropped_unanswered"]
    events.make(1)
    until(lambda: len(there.streams) > 5, "it is tried again")
    there.order("quiet")
    n_before = len(there.named(events.folder))
    until(lambda: status(clean)["dropped_unanswered"] > before,
          "it is given up")
    # One may have come behind the order and before the count.
    assert 3 <= len(there.named(events.folder)) - n_before <= 4
