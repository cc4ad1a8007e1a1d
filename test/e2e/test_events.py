# SPDX-License-Identifier: Apache-2.0
"""What was blocked, as it is told: real packets and queries, judged by what
readers of the API, the command line and the log get."""

import re
import signal

import grpc
import pytest

from named import (OTHER, PEER, DnsWorld, Follower, Site,  # noqa: F401
                   box, config, events, place, until, world)
from test_metrics import agent_in, scrape

CLOSED = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, ports: [443/tcp]}
"""
AUDIT = "mode: allowlist\naudit: true\n"
UNKNOWN = "0123456789abcdef" * 2


def flows(world, ident, **wanted):
    return [event for event in events(world, "--id", ident)
            if event["kind"] == "flow" and
            all(event[key] == value for key, value in wanted.items())]


def test_a_blocked_flow_is_told_with_its_ends_and_its_process(place):
    ident = place.attach(CLOSED)
    assert not place.is_open(OTHER, 8080)
    event = until(lambda: flows(place.world, ident, remote_port=8080),
                  "the event")[0]
    assert event["remote_address"] == OTHER and event["protocol"] == 6
    assert event["reason"] == "no-rule" and event["direction"] == "egress"
    assert event["id"] == ident and not event["audited"]
    assert event["name"] == "" and event["rule_id"] == 0
    if place.kind == "cgroup":
        assert event["pid"] == place.client.pid
        assert event["comm"].startswith("python3")
    else:
        assert event["pid"] == 0 and event["comm"] == ""


def test_a_flow_to_a_learnt_address_is_told_by_its_name(place):
    ident = place.attach(CLOSED)
    assert place.query("good.test")["addresses"] == [PEER]
    assert not place.is_open(PEER, 8080)
    event = until(lambda: flows(place.world, ident, remote_port=8080),
                  "the event")[0]
    assert (event["name"], event["remote_address"]) == ("good.test", PEER)


def test_a_denied_name_is_told(place):
    ident = place.attach(CLOSED)
    assert place.query("other.test")["rcode"] == "REFUSED"
    told = events(place.world, "--id", ident)
    assert [(one["kind"], one["name"], one["name_type"], one["reason"],
             one["audited"]) for one in told] == [
                 ("name", "other.test", 1, "dns-denied", False)]


def test_audit_tells_what_passed_and_knows_the_name(place):
    ident = place.attach(AUDIT)
    assert place.query("other.test")["addresses"] == [OTHER]
    assert place.is_open(OTHER, 80)
    event = until(lambda: flows(place.world, ident, remote_port=80),
                  "the event")[0]
    assert event["audited"] and event["name"] == "other.test"
    name = [one for one in events(place.world, "--id", ident)
            if one["kind"] == "name"]
    assert [one["audited"] for one in name] == [True]
    assert events(place.world, "--id", ident, "--blocked") == []


def test_a_follower_gets_them_as_they_come(place):
    ident = place.attach(CLOSED)
    follower = Follower(place.world, "--id", ident)
    try:
        for name in ("one.test", "two.test", "three.test"):
            place.query(name)
            assert follower.next()["name"] == name
    finally:
        follower.end()
    until(lambda: place.world.ok("status")["events"]["readers"] == 0,
          "the reader is forgotten")


def test_reading_goes_on_behind_a_cursor(box, api):
    ident = box.attach(CLOSED)
    for number in range(5):
        box.query(f"n{number}.test")
    watch = api.stub.WatchEvents
    request = api.event.WatchEventsRequest
    first = list(watch(request(id=ident)))
    assert [one.name for one in first] == [f"n{i}.test" for i in range(5)]
    rest = list(watch(request(id=ident, resume=first[1].cursor)))
    assert [one.name for one in rest] == [f"n{i}.test" for i in range(2, 5)]
    assert [one.cursor for one in rest] == [one.cursor for one in first[2:]]
    kinds = list(watch(request(id=ident, kinds=[api.event.EVENT_KIND_FLOW])))
    assert kinds == []


def test_a_cursor_of_another_run_is_told_as_a_gap(box, api):
    ident = box.attach(CLOSED)
    box.query("before.test")
    request = api.event.WatchEventsRequest
    cursor = list(api.stub.WatchEvents(request(id=ident)))[-1].cursor
    assert box.world.stop(box.world.cp) == 0
    box.world.ensure_daemons()
    box.query("after.test")
    with grpc.insecure_channel(f"unix:{api.path}") as channel:
        got = list(api.make_stub(channel).WatchEvents(request(resume=cursor)))
    assert (got[0].kind, got[0].reason) == (api.event.EVENT_KIND_LOST,
                                            "restart")
    assert [one.name for one in got[1:]] == ["after.test"]


@pytest.mark.parametrize("fields, code, text", [
    ({"id": "12"}, "INVALID_ARGUMENT", "id"),
    ({"id": UNKNOWN}, "NOT_FOUND", "no attachment"),
    ({"resume": "nonsense"}, "INVALID_ARGUMENT", "resume"),
    ({"resume": " 0000000000000001-7"}, "INVALID_ARGUMENT", "resume"),
    ({"resume": "0000000000000001-7x"}, "INVALID_ARGUMENT", "resume"),
    ({"kinds": [0]}, "INVALID_ARGUMENT", "kinds"),
    ({"kinds": [77]}, "INVALID_ARGUMENT", "kinds"),
    ({"since_seconds": 2**60}, "INVALID_ARGUMENT", "since_seconds"),
])
def test_bad_requests_are_refused_by_name(api, fields, code, text):
    with pytest.raises(grpc.RpcError) as caught:
        list(api.stub.WatchEvents(api.event.WatchEventsRequest(**fields)))
    assert caught.value.code().name == code
    assert text in caught.value.details()


def test_readers_are_bounded(api):
    request = api.event.WatchEventsRequest(follow=True)
    channels, streams = [], []
    try:
        for _ in range(4):
            channel = grpc.insecure_channel(
                f"unix:{api.path}", options=[("grpc.use_local_subchannel_pool",
                                              1)])
            channels.append(channel)
            stub = api.make_stub(channel)
            streams += [stub.WatchEvents(request) for _ in range(8)]
        until(lambda: api.call("GetStatus").events.readers == 32,
              "all of them read")
        with pytest.raises(grpc.RpcError) as caught:
            next(api.stub.WatchEvents(request))
        assert caught.value.code().name == "RESOURCE_EXHAUSTED"
    finally:
        for channel in channels:
            channel.close()
    until(lambda: api.call("GetStatus").events.readers == 0, "they are gone")


def test_readers_do_not_hold_up_the_end_of_the_daemon(box):
    box.attach(CLOSED)
    follower = Follower(box.world)
    try:
        box.query("seen.test")
        while follower.next()["name"] != "seen.test":
            pass
        before = box.world.cp
        before.send_signal(signal.SIGTERM)
        assert before.wait(timeout=3) == 0
        assert follower.child.wait(timeout=5) == 1
        assert b"stopping" in follower.child.stderr.read()
    finally:
        follower.end()
        box.world.cp = None
        box.world.ensure_daemons()


def test_what_an_attachment_left_can_be_read_after_its_end(box):
    ident = box.attach(CLOSED)
    box.query("other.test")
    box.world.ok("detach", ident)
    told = events(box.world, "--id", ident)
    assert [one["name"] for one in told] == ["other.test"]
    assert box.world.ctl("learn", ident).code == 1
    again = box.attach(CLOSED)
    assert again != ident and events(box.world, "--id", again) == []
    assert box.world.ok("learn", again)["seen"] == []


def test_table_for_people(box):
    ident = box.attach(CLOSED)
    box.query("other.test")
    box.is_open(OTHER, 8080)
    until(lambda: flows(box.world, ident), "the event")
    answer = box.world.ctl("events", "--id", ident[:8])
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].split() == ["TIME", "ID", "VERDICT", "DIR", "REASON",
                                "PROCESS", "DESTINATION"]
    assert re.search(rf"{ident[:8]}  blocked  out  dns-denied +- +other.test$",
                     lines[1])
    assert re.search(rf"  out  no-rule +python3\S*\[\d+\] +{OTHER} 8080/tcp$",
                     lines[2])
    assert box.world.ctl("events", "--id", UNKNOWN).code == 1
    assert box.world.ctl("events", "--since", "soon").code == 2


def log_lines(world, ident):
    text = (world.folder / "sentinel-cp.log").read_text(errors="replace")
    return [line for line in text.splitlines()
            if "blocked kind=" in line and ident in line]


def test_the_log_has_a_line_without_what_workloads_are_called(box):
    ident = box.attach(CLOSED)
    box.query("other.test")
    box.is_open(OTHER, 8080)
    until(lambda: flows(box.world, ident), "the event")
    lines = log_lines(box.world, ident)
    assert len(lines) == 2
    assert "kind=name" in lines[0] and "reason=dns-denied" in lines[0]
    assert "remote_port=8080" in lines[1] and "reason=no-rule" in lines[1]
    for word in ("other.test", OTHER, "python"):
        assert word not in "".join(lines)


def reload(world, text):
    before = (world.folder / "sentinel-cp.log").read_text(errors="replace")
    world.config.write_text(text)
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in (world.folder / "sentinel-cp.log").read_text(
        errors="replace")[len(before):], "it has reloaded")


def test_names_are_logged_or_redacted_as_configured(box):
    ident = box.attach(CLOSED)
    text = box.world.config.read_text()
    try:
        reload(box.world, text + "log:\n  workload_names: true\n")
        box.query("first.test")
        assert any("name=first.test" in line
                   for line in log_lines(box.world, ident))
        reload(box.world, text + "events:\n  redact_names: true\n"
               "log:\n  workload_names: true\n")
        box.query("second.test")
        told = events(box.world, "--id", ident)
        assert [one["name"] for one in told] == ["first.test", ""]
        assert "second" not in "".join(log_lines(box.world, ident))
    finally:
        reload(box.world, text)


def test_each_attachment_has_a_rate_and_what_is_over_it_is_told(box):
    ident = box.attach(CLOSED)
    before = box.world.ok("status")["events"]
    n_asked = 0
    while n_asked < 400 or int(box.world.ok("status")["events"]["limited"]) - \
            int(before["limited"]) <= 200:
        box.client.many(names=[f"x{i}.test" for i in range(100)],
                        server="198.51.100.53")
        n_asked += 100
        assert n_asked <= 4000

    def whole():
        box.query("last.test")  # a second with room tells what was left out
        told = events(box.world, "--id", ident)
        lost = sum(int(one["lost"]) for one in told)
        names = [one for one in told if one["kind"] == "name"]
        after = box.world.ok("status")["events"]
        return lost > 0 and lost == after["limited"] - before["limited"] and \
            (lost, len(names))

    lost, names = until(whole, "the loss is told", pause_s=0.2)
    assert scrape(agent_in(box.world)).get(
        "sentinel_events_total", result="limited") == lost + before["limited"]
    assert lost + names >= n_asked
    assert lost > 200


def test_a_reader_that_stops_reading_is_told_what_it_missed(host):  # noqa: F811
    made = DnsWorld(config=config() + "events:\n  records: 16\n  rate: 1000\n")
    try:
        slow_reader(made)
    finally:
        made.end()


def slow_reader(made):
    """More than the store, the library's buffers and the socket hold."""
    place = Site(made, "cgroup")
    ident = place.attach(CLOSED)
    follower = Follower(made, "--id", ident)
    try:
        place.query("first.test")
        assert follower.next()["name"] == "first.test"
        follower.child.send_signal(signal.SIGSTOP)
        asked = 0
        while int(made.ok("status")["events"]["recorded"]) < 6000:
            place.client.many(names=[f"{'y' * 60}.{asked + i}.test"
                                     for i in range(200)],
                              server="198.51.100.53")
            asked += 200
        # The others are served all the while.
        until(lambda: place.query("other.test")["rcode"] == "REFUSED" and
              events(made, "--id", ident)[-1]["name"] == "other.test",
              "the last one is recorded")
        told = made.ok("status")["events"]
        follower.child.send_signal(signal.SIGCONT)
        seen, missed = 1, 0
        while seen + missed < int(told["recorded"]):
            event = follower.next()
            if event["reason"] == "overwritten":
                missed += int(event["lost"])
            else:
                seen += 1
        assert event["name"] == "other.test"
        assert seen + missed == int(told["recorded"])
        assert missed > 0
        assert missed == int(made.ok("status")["events"]["missed"])
        page = scrape(agent_in(made))
        assert page.get("sentinel_events_missed_total") == missed
        assert page.get("sentinel_events_held") == \
            page.get("sentinel_events_limit") == 16
    finally:
        follower.end()
