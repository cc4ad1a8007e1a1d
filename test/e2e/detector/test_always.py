# SPDX-License-Identifier: Apache-2.0
"""Mode always: kill -9 of the daemon, again and again in the middle of events as
fast as they are taken, loses none, because the kernel keeps what is not on disk,
and an event that is read again has the same id."""

import os
import time

import feeding
from feeding import PLACE, check_all, check_ledger, dropped, status
from feeding import until, until_drained

IS_LONG = "SN_SOAK" in os.environ
KILLS = 20 if IS_LONG else 3
BURST = 8000 if IS_LONG else 2000
CONFIG = f"""\
    queue: 256KiB
    spool: {{path: {PLACE}/spool/always, max_size: 1GiB, mode: always}}
"""


def ring_full(world):
    return sum(one["ring_full"] for one in
               world.ok("status")["runtime"]["events"])


def nothing_is_lost(world, there, events):
    """Returns how many came again."""
    state = until_drained(world)
    assert ring_full(world) == 0
    assert dropped(state) == 0 and state["unstored"] == 0
    return check_all(there, events)


def test_kills_of_the_daemon_lose_nothing(clean, peer, events):
    there = peer()
    start = time.monotonic()
    for number in range(KILLS):
        n_before = len(there.named(events.folder))
        events.begin(BURST)
        until(lambda: len(there.named(events.folder)) > n_before + 100,
              "events come", pause_s=0.0005)
        clean.kill_cp()
        events.wait()
        clean.start_cp()
        feeding.in_force(clean)
    again = nothing_is_lost(clean, there, events)
    seconds = time.monotonic() - start
    print(f"\n{KILLS} kills of the daemon: {events.n} events, none missing, "
          f"{again} came again, {events.n / seconds:.0f} events/s over all of "
          "it")


def test_kills_of_both_lose_nothing(clean, peer, events):
    """The daemon writes while nobody takes anything."""
    there = peer()
    events.make(1)
    until_drained(clean)
    for number in range(KILLS):
        there.kill()
        events.begin(BURST)
        time.sleep(0.001 * number)
        clean.kill_cp()
        events.wait()
        clean.start_cp()
        feeding.in_force(clean)
        there.start()
    nothing_is_lost(clean, there, events)


def test_kills_of_one_that_is_ending_lose_nothing(clean, peer, events):
    """What was read from the ring is not on disk yet."""
    there = peer()
    for number in range(5 * KILLS):
        events.begin(BURST)
        events.wait()
        clean.cp.terminate()
        time.sleep(0.006 * (number % 15))
        clean.kill_cp()
        clean.start_cp()
        feeding.in_force(clean)
    nothing_is_lost(clean, there, events)


def accepted(world):
    """Also without a link."""
    return world.ctl("status", "-o", "json").json["detectors"][0]["accepted"]


def test_a_new_link_gives_nothing_back(clean, peer, events):
    """It comes while the disk does not have all yet, and then the daemon is
    killed."""
    there = peer()
    for _ in range(2 * KILLS):
        n_links = clean.log().count("connected dp_version")
        n_before, n_accepted = events.n, accepted(clean)
        clean.kill_dp()
        clean.start_dp()

        def is_linked():
            """There is always more than was taken, and so than is on disk."""
            taken = accepted(clean) - n_accepted
            while events.n - n_before < taken + 2 * BURST:
                events.begin(BURST)
            return clean.log().count("connected dp_version") > n_links

        until(is_linked, "the link is back", pause_s=0.0005)
        clean.kill_cp()
        events.wait()
        clean.start_cp()
        feeding.in_force(clean)
        until_drained(clean)
    nothing_is_lost(clean, there, events)


def test_what_was_read_again_is_kept_until_it_is_answered(clean, peer, events):
    """In the memory of each daemon, and else on disk only."""
    events.make(20)
    for _ in range(4):
        until(lambda: status(clean)["in_memory"] >= 20, "they are read again")
        feeding.in_force(clean)
        clean.kill_cp()
        clean.start_cp()
    there = peer()
    state = until_drained(clean)
    check_all(there, events)
    assert dropped(state) == 0


def test_what_it_costs(clean, peer, events):
    there = peer()
    count = 100000 if IS_LONG else 4000
    start = time.monotonic()
    events.make_all(clean, count)
    made = time.monotonic() - start
    state = until_drained(clean)
    seconds = time.monotonic() - start
    check_all(there, events)
    assert status(clean)["unstored"] == 0 and dropped(state) == 0
    check_ledger(state)
    print(f"\n{count} events made in {made:.2f} s, synced and answered in "
          f"{seconds:.2f} s: {count / seconds:.0f} events/s")
