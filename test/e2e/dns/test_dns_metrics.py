# SPDX-License-Identifier: Apache-2.0
"""Queries are counted by how they ended, with their latency; and the log says
nothing of what workloads ask for unless it is told to."""

import re
import time

import pytest

import lab
from lab import until
from named import Follower
from test_metrics import agent_in, scrape

POLICY = "dns:\n  domains:\n    - {allow: www.test}\n"


class QuietWorld(lab.DnsWorld):
    """As installed: sentinel-cp and sentinel-dp log at level info."""

    LEVEL = "info"

    def spawn(self, name, prefix, arguments):
        arguments = [self.LEVEL if before == "--log-level" else argument
                     for before, argument in zip([""] + arguments, arguments)]
        return super().spawn(name, prefix, arguments)


@pytest.fixture(scope="module")
def world(host):
    made = QuietWorld()
    yield made
    made.end()


def grown(before, after, name, **labels):
    return after.get(name, **labels) - before.get(name, **labels)


def test_queries_move_the_counters_by_exactly_one(site):
    # A name of its own: what another asked for is in the cache.
    name = f"{site.kind}.test"
    site.world.zone(**{site.kind: {"A": [60, "203.0.113.1"]}})
    web = agent_in(site.world)
    site.attach(POLICY.replace("www.test", name))
    before = scrape(web)
    assert site.query(name)["rcode"] == "NOERROR"
    for _ in range(3):
        assert site.query("other.test")["rcode"] == "REFUSED"
    after = scrape(web)
    for result, count in (("allowed", 1), ("blocked", 3), ("failed", 0)):
        assert grown(before, after, "sentinel_dns_latency_seconds_count",
                     result=result) == count
        assert grown(before, after, "sentinel_attachment_dns_queries_total",
                     id=site.id, result=result) == count
    assert grown(before, after, "sentinel_dns_queries_total",
                 result="allowed") == 1
    assert grown(before, after, "sentinel_dns_queries_total",
                 result="blocked") == 3
    assert grown(before, after, "sentinel_upstream_questions_total",
                 what="asked") == 1
    assert after.get("sentinel_dns_latency_seconds_sum", result="allowed") > 0
    assert after.get("sentinel_attachment_learnt_addresses", id=site.id) == 1


def test_the_status_grows_by_what_was_asked_and_sent(site):
    name = f"again-{site.kind}.test"
    site.world.zone(**{name.partition(".")[0]: {"A": [60, "203.0.113.1"]}})
    site.attach(POLICY.replace("www.test", name))
    before = site.world.ok("status")
    assert site.query(name)["rcode"] == "NOERROR"
    for _ in range(3):
        assert site.query("other.test")["rcode"] == "REFUSED"
    assert not site.is_open("203.0.113.77")
    after = site.world.ok("status")
    counted = {key: after["dns"][key] - before["dns"][key] for key in (
        "allowed", "blocked", "failed", "upstream_asked", "upstream_failed")}
    assert counted == {"allowed": 1, "blocked": 3, "failed": 0,
                       "upstream_asked": 1, "upstream_failed": 0}
    assert after["dns"]["listeners"] == after["dns"]["listeners_wanted"] == 8
    counts = [row["count"] for row in after["dns"]["latencies"]]
    assert sum(counts) == after["dns"]["allowed"]
    bounds = [row["up_to_us"] for row in after["dns"]["latencies"]]
    assert bounds[0] == 100 and bounds[-1] == 0
    assert bounds[:-1] == sorted(bounds[:-1])
    shown = site.show()
    for key, value in after["traffic"].items():
        assert value == int(shown[key]), key
    assert after["traffic"]["packets_blocked"] + \
        after["traffic"]["calls_refused"] > 0


def test_the_history_has_what_came_in_between(sites, api):
    """A sample is made every 10 s."""
    site = sites["cgroup"]
    site.attach(POLICY)

    def wait_for_next():
        begun = time.time() * 1000
        return until(lambda: next((one for one in api.call(
            "GetHistory").samples if one.time_ms > begun), None),
            "a sample", limit_s=15, pause_s=0.1)

    before = wait_for_next()
    for _ in range(4):
        site.query("other.test")
    assert not site.is_open("203.0.113.77")
    refused = int(site.show()["calls_refused"])
    after = wait_for_next()
    assert after.dns_blocked - before.dns_blocked == 4
    assert after.dns_failed == before.dns_failed
    assert after.blocked - before.blocked == refused > 0
    assert after.allowed - before.allowed >= 8  # queries and their answers
    times = [one.time_ms for one in api.call("GetHistory").samples]
    assert times == sorted(times)


def test_denied_names_move_the_events_by_exactly_one(site):
    web = agent_in(site.world)
    site.attach(POLICY)
    until(lambda: scrape(web).get("sentinel_events_readers") == 0,
          "the reader of an earlier test is gone")
    before = scrape(web)
    follower = Follower(site.world, "--id", site.id)
    try:
        for number in range(7):
            site.query(f"n{number}.test")
            assert follower.next()["name"] == f"n{number}.test"
        after = scrape(web)
        assert after.get("sentinel_events_readers") == \
            before.get("sentinel_events_readers") + 1
    finally:
        follower.end()
    assert grown(before, after, "sentinel_events_total",
                 result="recorded") == 7
    assert grown(before, after, "sentinel_events_total", result="limited") == 0
    assert grown(before, after, "sentinel_events_held") == 7
    assert after.get("sentinel_events_missed_total") == 0
    assert after.get("sentinel_events_limit") == 8192


def test_names_that_are_learnt_are_written(sites):
    """A change that comes behind a write is in the next one."""
    site = sites["cgroup"]
    site.world.zone(www={"A": [60, "203.0.113.1"]})
    web = agent_in(site.world)
    site.attach(POLICY)
    writes = scrape(web).get("sentinel_learnt_writes_total")
    for number in (1, 2):
        before = writes
        assert site.query("www.test")["rcode"] == "NOERROR"
        writes = until(lambda: scrape(web).get(
            "sentinel_learnt_writes_total") > before and scrape(web).get(
            "sentinel_learnt_writes_total"), "it is written", limit_s=15,
            pause_s=0.2)
        assert number == 1 or writes == before + 1
    assert scrape(web).get("sentinel_learnt_write_errors_total") == 0


def test_the_log_names_no_workload_at_level_info(site):
    world = site.world
    world.zone(www={"A": [60, "203.0.113.1"]})
    ident = site.attach(POLICY)
    site.query("www.test")
    site.query("secret-name.test")
    site.is_open("203.0.113.1")
    site.is_open("203.0.113.77")
    world.kill_dp()
    world.start_dp()
    world.wait_connected()
    world.ok("detach", ident)
    text = "".join(path.read_text() for path in world.folder.glob("*.log"))
    until(lambda: f"detached id={ident}" in text, "it was logged")
    assert "audit method=Attach" in text and "dns" in text
    lines = [line for line in text.splitlines()
             if re.search(r"secret-name|www\.test|203\.0\.113\.|10\.10\.0\.2|"
                          r"\bw0\b|/box\b", line)]
    assert not lines, "\n".join(lines)


