# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: what is read, taken up again, missed and bounded."""

import json
import socket

import pytest

from named import DnsWorld, Site, box, config, place, until, world  # noqa: F401
from rest import Rest
from test_events import CLOSED

LIMIT_S = 30.0


class Stream:
    """One that is read as it comes, and may be left unread."""

    def __init__(self, rest, query="", last=None, buffer=None, posted=None):
        """posted: a method and the request, which is posted."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(rest.path)
        method, message = posted or ("WatchEvents", None)
        body = b"" if message is None else json.dumps(message).encode()
        headers = [f"{'POST' if posted else 'GET'} /v1/{method}{query} HTTP/1.1",
                   "Host: localhost"]
        if posted:
            headers += ["Content-Type: application/json",
                        f"Content-Length: {len(body)}"]
        if last is not None:
            headers.append(f"Last-Event-ID: {last}")
        self.sock.sendall(("\r\n".join(headers) + "\r\n\r\n").encode() + body)
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while line := self.file.readline().strip():
            key, _, value = line.decode().partition(": ")
            self.headers[key.lower()] = value
        self.text = b""

    def chunk(self):
        """False: it has ended as it should."""
        size = int(self.file.readline(), 16)
        data = self.file.read(size)
        assert len(data) == size and self.file.readline() == b"\r\n"
        self.text += data
        return size > 0

    def next(self):
        """(id, event); None at the end."""
        while True:
            while b"\n\n" not in self.text:
                if not self.chunk():
                    return None
            block, self.text = self.text.split(b"\n\n", 1)
            fields = dict(line.split(": ", 1) for line in
                          block.decode().split("\n") if ": " in line)
            if "data" in fields:
                assert "event" not in fields, fields
                return fields.get("id"), json.loads(fields["data"])

    def all(self):
        got = []
        while one := self.next():
            got.append(one)
        return got

    def close(self):
        self.file.close()
        self.sock.close()


@pytest.fixture
def rest(world):  # noqa: F811
    return Rest(world.run_dir / "rest.sock")


def readers(made):
    return made.ok("status")["events"]["readers"]


def test_events_have_cursors_and_are_taken_up_behind_them(box, rest):
    ident = box.attach(CLOSED)
    for number in range(5):
        box.query(f"n{number}.test")
    stream = Stream(rest, f"?id={ident}")
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store"
    first = stream.all()
    stream.close()
    assert [one["name"] for _, one in first] == [f"n{i}.test" for i in range(5)]
    assert all(one["cursor"] == ident for ident, one in first)
    again = Stream(rest, f"?id={ident}", last=first[1][0])
    assert again.all() == first[2:]
    again.close()
    # What the request itself states comes first.
    stated = Stream(rest, f"?id={ident}&resume={first[3][0]}",
                    last=first[1][0])
    assert stated.all() == first[4:]
    stated.close()
    assert rest.good("GetStatus")["events"]["readers"] == 0


@pytest.mark.parametrize("last", ["nonsense", "0000000000000001-7x", "\xff"])
def test_a_position_that_is_none_is_refused(box, rest, last):
    answer = rest.ask("GET", "/v1/WatchEvents", headers=[
        f"Last-Event-ID: {last}"])
    assert answer.status == 400 and "resume" in answer.json["message"]


def test_a_position_of_another_run_is_told_as_a_gap(box, rest):
    box.attach(CLOSED)
    stream = Stream(rest, last="0000000000000001-7")
    ident, event = stream.next()
    stream.close()
    assert ident is None
    assert (event["kind"], event["reason"]) == ("EVENT_KIND_LOST", "restart")


def test_a_reader_follows_and_is_forgotten_when_it_goes(box, rest):
    ident = box.attach(CLOSED)
    stream = Stream(rest, f"?id={ident}&follow=true")
    until(lambda: readers(box.world) == 1, "it reads")
    for number in range(3):
        box.query(f"live{number}.test")
        assert stream.next()[1]["name"] == f"live{number}.test"
    stream.close()
    until(lambda: readers(box.world) == 0, "the reader is forgotten", 3)


def test_streams_are_half_of_the_connections(box, rest):
    """The others find a place, also when some lie still."""
    until(lambda: readers(box.world) == 0, "nobody reads")
    streams = [Stream(rest, "?follow=true") for _ in range(16)]
    assert {stream.status for stream in streams} == {200}
    answer = rest.get("WatchEvents", follow="true")
    assert answer.status == 429, answer
    still = [rest.connect() for _ in range(40)]
    for _ in range(20):
        assert rest.get("GetStatus").status == 200
    assert readers(box.world) == 16
    for one in streams + still:
        one.close()
    until(lambda: readers(box.world) == 0, "the readers are forgotten", 3)
    until(lambda: Stream(rest).status == 200, "there is place again")


def test_a_reader_that_stops_is_cut_and_goes_on_behind_a_gap(host):  # noqa: F811
    made = DnsWorld(config=config() + "events:\n  records: 64\n  rate: 1000\n")
    try:
        stopped_reader(made)
    finally:
        made.end()


def rss_kib(made):
    text = open(f"/proc/{made.cp.pid}/status", encoding="ascii").read()
    return int(text.split("VmRSS:")[1].split()[0])


def stopped_reader(made):
    """More than socket and store hold; the others are served, memory is not
    taken, and nothing is missed without being told. Who waits for what does not
    come stays meanwhile, longer than an answer may take."""
    site = Site(made, "cgroup")
    ident = site.attach(CLOSED)
    rest = Rest(made.run_dir / "rest.sock")  # noqa: F811
    stream = Stream(rest, f"?id={ident}&follow=true")
    idle = Stream(rest, "?kinds=EVENT_KIND_FLOW&follow=true")
    site.query("first.test")
    last, event = stream.next()
    assert event["name"] == "first.test"
    asked, before = 0, rss_kib(made)
    while int(made.ok("status")["events"]["recorded"]) < 4000:
        site.client.many(names=[f"{'y' * 60}.{asked + i}.test"
                                for i in range(200)], server="198.51.100.53")
        asked += 200
        assert rest.get("GetStatus").status == 200
    assert rss_kib(made) - before < 16 * 1024
    until(lambda: readers(made) == 1, "it is cut", 45)
    while idle.text.count(b":\n\n") < 3:  # one every 10 s
        assert idle.chunk()
    idle.close()
    recorded = int(made.ok("status")["events"]["recorded"])
    # What was on its way is still there to be read.
    seen = 1
    while True:
        try:
            ident_now, event = stream.next()
        except (ValueError, AssertionError, OSError):
            break
        assert event["kind"] == "EVENT_KIND_NAME"
        last, seen = ident_now, seen + 1
    stream.close()
    again = Stream(rest, f"?id={ident}", last=last)
    got = [event for _, event in again.all()]
    again.close()
    assert got[0]["reason"] == "overwritten"
    assert seen + int(got[0]["lost"]) + len(got) - 1 == recorded
    assert made.stop(made.cp) == 0
