# SPDX-License-Identifier: Apache-2.0
"""/metrics on real traffic: exact, rising over restarts, in the format that
Prometheus reads, and unmoved by bad clients."""

import concurrent.futures
import os
import re
from pathlib import Path

import pytest

import world as worlds
from prometheus import Page
from traffic import A, B
from world import Agent, until

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PORT = 9102
N = 40
POLICY = "dns: {steering: false}\ncidrs:\n  - allow: 10.20.0.0/16\n"
TYPE = "text/plain; version=0.0.4; charset=utf-8"
WORLD = {"config": worlds.QUICK + "metrics:\n  max_connections: 8\n"
         '  labels: ["tenant", "k8s.io/pod"]\n'}


def agent_in(world):
    if not hasattr(world.network, "web"):
        world.network.web = Agent(
            [*world.in_cgroup("agents"), *world.network.enter("router")],
            HERE / "web.py")
    return world.network.web


@pytest.fixture
def web(clean):
    agent = agent_in(clean)
    yield agent
    agent.drop()


def scrape(web):
    answer = web.get(port=PORT)
    assert answer["status"] == 200, answer
    assert answer["headers"]["content-type"] == TYPE
    assert len(answer["body"].encode()) == \
        int(answer["headers"]["content-length"])
    return Page(answer["body"])


def settled(web, target):
    target.settle()
    return scrape(web)


def documented():
    rows = {}
    for line in (ROOT / "packaging/metrics.md").read_text().splitlines():
        match = re.match(r"\| ([a-z_]+) \| (\w+) \| ([a-z_, ]*) \| (.*) \|$",
                         line)
        if match and match[1] != "metric":
            names = [name for name in match[3].split(", ") if name.strip()]
            rows[match[1]] = (match[2], names, match[4])
    return rows


# Of rules that found something (test_findings.py).
FOUND = {"sentinel_findings_total", "sentinel_findings_limited_total",
         "sentinel_rules_hits_total"}


def test_the_documented_metrics_are_those_of_a_scrape(web, target):
    target.attach("--meta", "tenant=acme", policy=POLICY)
    target.client.burst(protocol="icmp", target=B[4], port=0, count=1, size=8,
                        replies=False)
    page, rows = scrape(web), documented()
    assert len(rows) > 50
    assert page.families == {name: (kind, text)
                             for name, (kind, _, text) in rows.items()}
    for name, (_, labels, _) in rows.items():
        extra = {"metadata_tenant", "metadata_k8s_io_pod"} \
            if name == "sentinel_attachment_info" else set()
        for found in page.label_names(name):
            assert set(found) - extra == set(labels), name
    missing = [name for name in rows if not page.label_names(name) and
               not name.startswith(("sentinel_control_",
                                    "sentinel_detector_")) and
               name not in FOUND]
    assert not missing


@pytest.mark.parametrize("protocol", ["udp", "icmp"])
def test_allowed_packets_are_counted_one_by_one(web, target, protocol):
    target.attach(policy=POLICY)
    before = settled(web, target)
    sent = target.client.burst(protocol=protocol, target=A[4], port=80,
                               count=N, size=32)
    assert sent["received"] == N
    after = settled(web, target)
    for name, labels in (("sentinel_packets_total", {}),
                         ("sentinel_attachment_packets_total",
                          {"id": target.id})):
        for direction in ("egress", "ingress"):
            for verdict, grown in (("allowed", N), ("blocked", 0)):
                assert after.get(name, direction=direction, verdict=verdict,
                                 **labels) - \
                    before.get(name, direction=direction, verdict=verdict,
                               **labels) == grown, (name, direction, verdict)


def test_blocked_packets_are_counted_by_reason(web, target):
    target.attach(policy=POLICY)
    before = settled(web, target)
    sent = target.client.burst(protocol="icmp", target=B[4], port=0, count=N,
                               replies=False, size=32)
    after = settled(web, target)
    assert sent["received"] == 0

    def grown(name, **labels):
        return (after.get(name, **labels) or 0) - \
            (before.get(name, **labels) or 0)

    assert grown("sentinel_attachment_packets_total", id=target.id,
                 direction="egress", verdict="blocked") == N
    assert grown("sentinel_attachment_reasons_total", id=target.id,
                 reason="no-rule") == N
    assert grown("sentinel_reasons_total", reason="no-rule",
                 kind="policy") == N
    assert grown("sentinel_attachment_packets_total", id=target.id,
                 direction="egress", verdict="allowed") == 0


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_counters_rise_over_restarts(web, target, how):
    world = target.world
    target.attach(policy=POLICY)
    target.client.burst(protocol="udp", target=A[4], port=80, count=N, size=8)
    before = settled(web, target)

    def check(sent):
        after = settled(web, target)
        for key, value in before.samples.items():
            if key[0] in ("sentinel_packets_total", "sentinel_bytes_total",
                          "sentinel_reasons_total") or \
                    key[0].startswith("sentinel_attachment_") and \
                    key[0].endswith("_total"):
                assert after.samples[key] >= value, key
        assert after.get("sentinel_attachment_packets_total", id=target.id,
                         direction="egress", verdict="allowed") == sent

    for part in ("cp", "dp"):
        if how == "killed":
            getattr(world, f"kill_{part}")()
        else:
            world.stop(getattr(world, part))
        target.client.burst(protocol="udp", target=A[4], port=80, count=N,
                            size=8)
        getattr(world, f"start_{part}")()
        world.wait_connected()
        check(2 * N if part == "cp" else 3 * N)


def test_without_the_data_plane_its_counters_are_not_told_as_zero(web, target):
    world = target.world
    target.attach(policy=POLICY)
    world.kill_dp()
    world.kill_cp()
    world.start_cp()
    until(lambda: web.get_or_none(port=PORT), "/metrics is served")
    page = scrape(web)
    assert page.get("sentinel_link_up") == 0
    assert page.get("sentinel_attachment_state", id=target.id,
                    state="waiting") or page.get(
        "sentinel_attachment_state", id=target.id, state="detached-dp")
    assert page.label_names("sentinel_attachment_packets_total") == set()
    assert page.label_names("sentinel_packets_total") == set()


def test_metadata_becomes_labels_and_cannot_break_the_page(web, interface):
    value = "a\"} 1\\ä,b"
    interface.attach("--meta", f"k8s.io/pod={value}",
                     "--meta", "other=x", policy=POLICY)
    page = scrape(web)
    assert page.get("sentinel_attachment_info", id=interface.id, type="tc",
                    mode="allowlist", audit="0", dns_mode="allowlist",
                    metadata_tenant="", metadata_k8s_io_pod=value) == 1


def test_state_and_capacity(web, target):
    target.attach(policy=POLICY)
    page = scrape(web)
    assert page.get("sentinel_attachments") == 1
    assert page.get("sentinel_link_ready") == 1
    assert page.get("sentinel_attachment_rules", id=target.id,
                    type="cidr") == 1
    assert page.get("sentinel_table_entries", table="prefixes") is not None
    assert 0 < page.get("sentinel_table_entries", table="rules") <= \
        page.get("sentinel_table_capacity", table="rules")
    assert page.get("sentinel_state_writes_total", kind="journal") > 0
    assert page.get("process_start_time_seconds") > 1.6e9

    def is_so():
        """What was open for sentinelctl may be closed after the scrape, and the
        scrape's own connection is, so these may have changed meanwhile."""
        now = scrape(web)
        process = Path(f"/proc/{target.world.cp.pid}")
        resident = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
        return abs(int(resident[1]) * 1024 -
                   now.get("process_resident_memory_bytes")) < 4 << 20 and \
            0 <= now.get("process_open_fds") - \
            len(os.listdir(process / "fd")) <= 1
    until(is_so, "memory and descriptors are told")


# Bad input

BAD = {
    "unknown path": ("GET /metric HTTP/1.1\r\nHost: a\r\n", 404),
    "dots": ("GET /../metrics HTTP/1.1\r\nHost: a\r\n", 404),
    "escaped": ("GET /%6detrics HTTP/1.1\r\nHost: a\r\n", 404),
    "two slashes": ("GET //metrics HTTP/1.1\r\nHost: a\r\n", 404),
    "absolute": ("GET http://a/metrics HTTP/1.1\r\nHost: a\r\n", 400),
    "method": ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
               405),
    "no method": ("BREW /metrics HTTP/1.1\r\nHost: a\r\n", 405),
    "a body": ("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n",
               413),
    "chunks": ("GET /metrics HTTP/1.1\r\nHost: a\r\n"
               "Transfer-Encoding: chunked\r\n", 413),
    "both lengths": ("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                     "Transfer-Encoding: chunked\r\n", 400),
    "two lengths": ("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
                    "Content-Length: 7\r\n", 400),
    "a sign": ("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n",
               400),
    "a space in a name": ("GET /metrics HTTP/1.1\r\nHost: a\r\n"
                          "Content-Length : 9\r\n", 400),
    "another coding": ("GET /metrics HTTP/1.1\r\nHost: a\r\n"
                       "Transfer-Encoding: xchunked\r\n", 400),
    "two hosts": ("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
    "no host": ("GET /metrics HTTP/1.1\r\n", 400),
    "large header": ("GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + "y" * 40000 +
                     "\r\n", 431),
    "many headers": ("GET /metrics HTTP/1.1\r\nHost: a\r\n" +
                     "".join(f"X{i}: y\r\n" for i in range(100)), 431),
    "long path": ("GET /" + "m" * 4000 + " HTTP/1.1\r\nHost: a\r\n", 414),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_requests_get_a_clear_status(world, what):
    web = agent_in(world)
    text, status = BAD[what]
    # What is smuggled behind it must not be answered.
    smuggled = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    got = web.raw(port=PORT, text=text + "\r\n" + smuggled)
    # The library repeats the head of some answers of its own.
    assert set(re.findall(r"^HTTP/1\.[01] (\d+) ", got, re.M)) == \
        {str(status)}, got
    assert "sentinel_" not in got
    assert web.get(port=PORT)["status"] == 200


def test_a_head_request_has_no_body(world):
    answer = agent_in(world).get(port=PORT, method="HEAD")
    assert answer["status"] == 200 and answer["body"] == ""
    assert int(answer["headers"]["content-length"]) > 1000


def test_those_who_hold_on_keep_nobody_out(web, target):
    """Many more connections than are served: silent ones, half requests, and
    ones that do not read what they asked for."""
    target.attach(policy=POLICY)
    memory = scrape(web).get("process_resident_memory_bytes")
    for text in ("", "GET /metrics HTTP/1.1\r\nHos",
                 "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 20):
        web.hold(port=PORT, count=24, text=text)
    assert web.repeat(port=PORT, path="/metrics", count=10,
                      pause_s=0)["statuses"] == {"200": 10}
    page = scrape(web)
    assert page.get("sentinel_http_connections", server="metrics") <= 8
    assert page.get("sentinel_http_connections_cut_total",
                    server="metrics") >= 40
    assert page.get("process_resident_memory_bytes") - memory < 16 << 20
    assert target.client.burst(protocol="udp", target=A[4], port=80, count=5,
                               size=8)["received"] == 5


def test_scrapes_every_ten_milliseconds(web, target):
    target.attach(policy=POLICY)
    bursts = 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        scrapes = pool.submit(web.repeat, port=PORT, path="/metrics", count=200,
                              pause_s=0.01)
        while not scrapes.done():
            assert target.client.burst(protocol="udp", target=A[4], port=80,
                                       count=5, size=8)["received"] == 5
            bursts += 1
    assert bursts > 1 and scrapes.result()["statuses"] == {"200": 200}
    assert target.world.ctl("status").code == 0


def test_a_port_that_is_taken_is_tried_again(clean):
    """The daemon serves without it, and has it when it is free."""
    web = agent_in(clean)
    clean.kill_cp()
    web.listen(port=PORT)
    clean.start_cp()
    assert clean.ctl("status").code == 0
    web.unlisten()
    until(lambda: web.get_or_none(port=PORT), "/metrics is served")
