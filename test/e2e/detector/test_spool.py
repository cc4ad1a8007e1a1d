# SPDX-License-Identifier: Apache-2.0
"""A detector that is killed, or away, with a spool: nothing is missing, what came
first came in order, and what had no room is counted."""

import os
import time

import feeding
import pytest
from feeding import PLACE, check_all, check_ledger, configure, dropped, status
from feeding import until, until_drained
from world import run

IS_LONG = "SN_SOAK" in os.environ
KILLS = 50 if IS_LONG else 6
BURST = 2000 if IS_LONG else 500
# While it is away: so many events a second for an hour, or some at once.
AWAY_S = 3600 if IS_LONG else 0
RATE = 100
AWAY = AWAY_S * RATE if IS_LONG else 10000
SPOOL = PLACE / "spool" / "overflow"
SMALL = PLACE / "spool" / "small"
CONFIG = f"""\
    queue: 256KiB
    spool: {{path: {SPOOL}, max_size: 1GiB}}
"""


def stop(world):
    """As a service manager does."""
    assert world.stop(world.cp) == 0
    world.cp = None


@pytest.fixture
def configured(clean):
    """Another configuration of the spool; the module's own comes back."""
    def start(text):
        stop(clean)
        clean.config.write_text(configure(text))
        clean.start_cp()
    yield start
    start(CONFIG)


def test_kills_of_the_detector_lose_nothing(clean, peer, events):
    """Each in the middle of a burst; what was not answered comes again."""
    there = peer()
    start = time.monotonic()
    for _ in range(KILLS):
        n_before = len(there.named(events.folder))
        events.begin(BURST)
        until(lambda: len(there.named(events.folder)) >
              n_before + BURST // 8, "events come", pause_s=0.001)
        there.kill()
        events.wait()
        there.start()
    state = until_drained(clean)
    seconds = time.monotonic() - start
    again = check_all(there, events)
    assert feeding.dropped(state) == 0
    assert state["delivered"] >= events.n
    ids = {one["id"] for one in there.got()}
    print(f"\n{KILLS} kills: {events.n} events, none missing, {again} came "
          f"again, {len(ids)} ids, {events.n / seconds:.0f} events/s over "
          "all of it")


def make_events_of_an_hour(events):
    start = time.monotonic()
    for second in range(AWAY_S):
        time.sleep(max(0, start + second - time.monotonic()))
        events.make(RATE)


def test_a_detector_that_is_away_gets_all_in_order(clean, peer, events):
    """What does not fit into memory is on disk, and comes from there when the
    detector is back. In short without the hour."""
    before = status(clean)["accepted"]

    def written():
        """Not faster than the disk takes them."""
        found = status(clean)
        return found["accepted"] - before >= events.n and \
            found["in_memory"] < 600 and found

    start = time.monotonic()
    if IS_LONG:
        make_events_of_an_hour(events)
    while events.n < AWAY:
        events.make(2000)
        until(written, "all were told")
    seconds = time.monotonic() - start
    state = until(written, "all were told")
    check_ledger(state)
    assert state["on_disk"] > AWAY // 2 and dropped(state) == 0
    assert state["memory_bytes"] < 1 << 20
    there = peer()
    begin = time.monotonic()
    state = until_drained(clean)
    drained = time.monotonic() - begin
    assert check_all(there, events) == 0
    assert dropped(state) == 0
    until(lambda: not list(SPOOL.glob("*.spool"))[1:], "files are removed")
    print(f"\n{AWAY} events in {seconds:.2f} s while away, drained in "
          f"{drained:.1f} s: {AWAY / drained:.0f} events/s")


def test_what_waits_outlives_a_restart_of_the_daemon(clean, peer, events):
    """In memory and on disk; the position is not lost either."""
    there = peer()
    events.make(10)
    until_drained(clean)
    there.kill()
    events.make(3000)
    until(lambda: status(clean)["on_disk"] > 0, "some are on disk")
    stop(clean)
    clean.start_cp()
    state = status(clean)
    check_ledger(state)
    assert state["recovered"] > 2000
    there.start()
    until_drained(clean)
    assert check_all(there, events) == 0


def test_a_torn_end_is_cut_off_and_the_rest_is_sent(clean, peer, events):
    """As a crash leaves it: the last record is half there."""
    events.make(3000)
    until(lambda: (found := status(clean))["accepted"] >= 3000 and
          found["in_memory"] < 600, "all that has no room is on disk")
    clean.kill_cp()
    last = max(SPOOL.glob("*.spool"))
    with last.open("r+b") as stream:
        stream.truncate(last.stat().st_size - 7)
    clean.start_cp()
    state = status(clean)
    assert state["cut_files"] == 1
    n_recovered = state["recovered"]
    there = peer()
    until_drained(clean)
    names = [one["name"] for one in there.named(events.folder)]
    assert 2000 < len(names) <= n_recovered < 3000
    at = events.names().index(names[0])
    assert names == events.names()[at:at + len(names)]


def test_the_oldest_are_dropped_and_counted(clean, peer, events, configured):
    configured(f"""\
    queue: 64KiB
    spool: {{path: {SMALL}, max_size: 1MiB}}
""")
    feeding.in_force(clean)
    events.make(6000)
    state = until(lambda: (found := status(clean))["dropped_spool"] > 0 and
                  found["accepted"] >= 6000 and found, "some are dropped")
    check_ledger(state)
    assert state["disk_bytes"] <= 1 << 20
    there = peer()
    state = until_drained(clean)
    n_lost = dropped(state)
    assert n_lost == state["dropped_spool"]
    names = [one["name"] for one in there.named(events.folder)]
    wanted = events.names()
    assert names[-1] == wanted[-1] and names == sorted(names)
    others = state["accepted"] - len(wanted)
    assert len(wanted) - len(names) == n_lost and others < 5


def test_a_full_disk_costs_events_which_are_counted(clean, peer, events,
                                                    configured):
    """Told at once, and written again when there is room."""
    disk = PLACE / "spool" / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o",
        f"size=512k,uid={SPOOL.stat().st_uid},mode=700", "tmpfs", disk)
    try:
        configured(f"""\
    queue: 64KiB
    spool: {{path: {disk}/spool, max_size: 64MiB}}
""")
        feeding.in_force(clean)
        events.make(3000)
        state = until(lambda: (found := status(clean))["accepted"] >= 3000 and
                      found["dropped_disk"] and found, "some are lost")
        check_ledger(state)
        assert "spool error='No space left on device'" in \
            (clean.folder / "sentinel-cp.log").read_text()
        there = peer()
        until_drained(clean)
        there.kill()
        events.make(200)
        until(lambda: status(clean)["on_disk"] > 0, "it is written again")
        assert not status(clean)["disk_error"]
        check_ledger(status(clean))
        there.start()
        until_drained(clean)
    finally:
        configured("")
        run("umount", disk)


def test_one_that_answers_anomalies_only_gets_them_at_its_own_pace(
        clean, peer, events, configured):
    """From the disk, too: the queue is filled again when there is room."""
    configured(f"""\
    queue: 64KiB
    window: 16
    answers: anomalies
    spool: {{path: {SPOOL}, max_size: 64MiB}}
""")
    feeding.in_force(clean)
    events.make(5000)
    until(lambda: status(clean)["on_disk"] > 4000, "most are on disk")
    there = peer()
    there.order("quiet")
    begin = time.monotonic()
    until(lambda: len({*map(lambda one: one["id"],
                            there.named(events.folder))}) == 5000,
          "all have come")
    assert time.monotonic() - begin < 20
    check_all(there, events)
