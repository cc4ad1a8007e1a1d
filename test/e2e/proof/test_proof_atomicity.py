# SPDX-License-Identifier: Apache-2.0
"""Policies are exchanged as a whole, under traffic. Each packet is judged by
the policy before or by the one after, never by a mix of both, and none that
both allow is lost."""

import threading
import time

import pytest

from proof_lab import (A_RULES, B_RULES, FLOWS, FRESH, KEPT, Flow, Timeline, say,
                       size)
from world import until

WORLD = {"config": "state:\n  group_interval: 0s\n"}
FLIPS, FLIPS_A_ROUND = size(150, 10000), size(150, 500)

# Work for the sweep of the generation that was replaced.
FILLER = [f"allow 10.41.{n // 250}.{n % 250 + 1} {n + 1}/tcp"
          for n in range(size(250, 1000))]
# Five lengths and more go to the trie.
TRIE = [f"deny 10.42.0.0/{length}" for length in range(18, 24)]


def exchange(place, policies, n_flips):
    """n_flips from A to B to A ..., and the judgement of all packets."""
    timeline = Timeline("A")
    place.apply(policies["A"])
    stream = place.stream(FLOWS)
    stream.flowing()
    took = []
    for number in range(n_flips):
        state = "BA"[number % 2]
        with timeline.change(state):
            place.apply(policies[state])
        took.append(timeline.ends[-1] - timeline.begins[-1])
        if number % 5 == 0:
            stream.flowing()
    stream.flowing()
    return stream.judge(timeline), sorted(took)[n_flips // 2]


@pytest.mark.parametrize("engine", ["hash", "trie"])
def test_exchange_under_traffic(place, engine):
    extra = FILLER + (TRIE if engine == "trie" else [])
    policies = {"A": place.lab.policy(A_RULES + extra),
                "B": place.lab.policy(B_RULES + extra, "DENYLIST")}
    place.attach(policies["A"])
    total = {True: 0, False: 0, "open": 0}
    for _ in range(max(1, FLIPS // FLIPS_A_ROUND // 2)):
        decided, median_ns = exchange(place, policies, FLIPS_A_ROUND)
        for key in total:
            total[key] += decided[key]
    # It saw something: packets of all kinds had only one right answer.
    assert total[True] > 1000 and total[False] > 1000, total
    assert place.reason("race") == 0
    say(f"{place.kind} {engine}: {total[True]} packets had to arrive and did, "
        f"{total[False]} had to stay out and did, {total['open']} met an "
        f"exchange; replace median {median_ns / 1e6:.2f} ms")


class Learnt:
    """Single rules that come and go, as those that names stand for."""

    def __init__(self, place, n, first=1):
        self.place = place
        self.addresses = [f"10.40.77.{first + number}" for number in range(n)]
        self.timelines = [Timeline("closed") for _ in range(n)]

    def flows(self):
        return [Flow(address, 1001, {"open"}) for address in self.addresses]

    def put(self, number, ttl_s=3600):
        with self.timelines[number].change("open"):
            self.place.call("AllowCIDR", cidr=self.addresses[number],
                            ports=["1001/udp"], ttl_seconds=ttl_s)

    def remove(self, number):
        with self.timelines[number].change("closed"):
            self.place.call("RemoveCIDR", cidr=self.addresses[number])


def test_single_rules_under_traffic(place):
    """Rules are put and removed while others' flows go on."""
    base = Timeline("A")
    place.attach(place.lab.policy(A_RULES))
    learnt = Learnt(place, 4)
    steady = place.stream(FLOWS, pause_us=400)
    streams = [place.stream([flow, FLOWS[-1]], pause_us=400)
               for flow in learnt.flows()]
    for stream in streams:
        stream.flowing(20)
    for number in range(size(60, 2000)):
        learnt.put(number % 4)
        if number % 7 == 0:
            streams[number % 4].flowing(20)
        learnt.remove(number % 4)
        if number % 7 == 3:
            streams[number % 4].flowing(20)
    decided = [stream.judge(timeline) for stream, timeline in
               zip(streams, learnt.timelines)]
    assert all(one[True] and one[False] for one in decided), decided
    assert steady.judge(base)[False] > 100
    assert place.reason("race") == 0


def test_lifetime_ends_new_flows_on_time(place):
    """A rule's end closes the way for new flows at that moment; the flow that
    was admitted before goes on."""
    ttl_s = 1
    place.attach(place.lab.policy(A_RULES))
    for number in range(size(1, 30)):
        learnt = Learnt(place, 1, first=number + 1)
        learnt.put(0)
        kept = place.stream([*learnt.flows(), FLOWS[-1]], styles=KEPT)
        kept.flowing()
        learnt.put(0, ttl_s)
        timeline = learnt.timelines[0]
        # The unit of an expiry is 65.5 us; one for rounding up, one spare.
        timeline.add("closed", timeline.begins[-1] + ttl_s * 10**9 - 131072,
                     timeline.ends[-1] + ttl_s * 10**9 + 131072)
        fresh = place.stream([*learnt.flows(), FLOWS[-1]], styles=FRESH)
        until(lambda: time.time_ns() > timeline.ends[-1], "the rule lapses")
        fresh.flowing()
        kept.flowing()
        decided = fresh.judge(timeline)
        assert decided[True] and decided[False]
        kept.judge(Timeline("open"))


def test_exchange_and_single_rules_at_once(place):
    """Two clients: one exchanges policies, the other puts and removes rules.
    A rule that meets an exchange is in both generations or in none."""
    policies = {"A": place.lab.policy(A_RULES + FILLER),
                "B": place.lab.policy(B_RULES + FILLER, "DENYLIST")}
    place.attach(policies["A"])
    other = place.lab.make_client()
    end, failures = threading.Event(), []

    def put_and_remove():
        number = 0
        while not end.is_set():
            number += 1
            address = f"10.41.200.{number % 200 + 1}"
            try:
                other.call("AllowCIDR", id=place.id, cidr=address,
                           ttl_seconds=60)
                other.call("RemoveCIDR", id=place.id, cidr=address)
            except Exception as error:  # Told to the test.
                # An exchange in between has removed it already.
                if "NOT_FOUND" not in str(error):
                    failures.append(error)
                    return

    thread = threading.Thread(target=put_and_remove)
    thread.start()
    try:
        exchange(place, policies, size(60, 1000))
    finally:
        end.set()
        thread.join()
        other.close()
    assert not failures, failures[0]
    assert place.reason("race") == 0
