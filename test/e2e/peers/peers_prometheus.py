# SPDX-License-Identifier: Apache-2.0
"""The dashboards and alerts in a real Prometheus that scrapes a daemon under
load: each panel has something to show, each series that an alert names is
there, and what goes wrong is noticed."""

import json
import os
import re
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

import pytest
import yaml

import named  # noqa: F401  the resolver's helpers are in its folder
import promql
from lab import DnsWorld, Site, config, until
from test_health import Front
from test_metrics import agent_in, documented
from world import TAG

PORT = 9090
LISTEN = f"127.0.0.1:{PORT}"
RATE = "8s"  # of the panels: long enough for two scrapes on a busy machine
UNREACHABLE = """
control:
  urls: ["http://127.0.0.1:7999"]
  insecure: true
  subscribe_timeout: 50ms
  unanswered: local
"""
RULES = Path(tempfile.gettempdir()) / f"{TAG}-{os.getpid()}-rules.yaml"
DETECTION = f"""
detection:
  rules: {RULES}
detectors:
  - name: away
    url: http://127.0.0.1:7998
    insecure: true
    events: [file_open]
"""
POLICY = """
dns:
  domains:
    - {allow: good.test}
cidrs:
  - {allow: 10.20.0.0/16}
"""
MALFORMED = "0001010000020000000000000161047465737400000100010000"
# Instances are what scrape_configs say; the job is what the alerts ask for.
SCRAPE = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s",
                     "evaluation_interval": "1s"},
          "rule_files": ["alerts.yaml"],
          "scrape_configs": [{"job_name": "sentinel", "static_configs": [
              {"targets": ["127.0.0.1:9102"]}]}]}


class Prometheus:
    def __init__(self, world):
        self.web = agent_in(world)
        folder = world.folder / "prometheus"
        folder.mkdir()
        rules = promql.FOLDER / "alerts.yaml"
        (folder / "alerts.yaml").write_text(rules.read_text())
        (folder / "prometheus.yml").write_text(yaml.safe_dump(SCRAPE))
        self.log = open(folder / "log", "wb")
        self.child = subprocess.Popen(
            [*world.in_cgroup("daemons"), *world.network.enter("router"),
             "setpriv", "--pdeathsig=KILL", "prometheus",
             f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={LISTEN}", "--log.level=warn"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            until(lambda: self.web.get_or_none(port=PORT, path="/-/ready") ==
                  200, "Prometheus is ready", limit_s=30, pause_s=0.1)
        except AssertionError:
            self.end()
            raise AssertionError((folder / "log").read_text()) from None

    def end(self):
        self.child.kill()
        self.child.wait()
        self.log.close()

    def get(self, path, **fields):
        """By HTTP/1.0, so that the answer is one piece."""
        query = urllib.parse.urlencode(fields)
        text = self.web.raw(port=PORT, text=f"GET {path}?{query} HTTP/1.0\r\n"
                            f"Host: {LISTEN}\r\n\r\n")
        answer = json.loads(text.partition("\r\n\r\n")[2])
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        return self.get("/api/v1/query", query=expression)["result"]

    def alerts(self):
        """Names of those that are pending or firing."""
        return {alert["labels"]["alertname"]
                for alert in self.get("/api/v1/alerts")["alerts"]}


@pytest.fixture(scope="module")
def world(host):
    RULES.write_text("rules: [{name: one, event: file_open}]\n")
    RULES.chmod(0o644)
    made = DnsWorld(config=config() + UNREACHABLE + DETECTION)
    yield made
    made.end()
    RULES.unlink()


@pytest.fixture(scope="module")
def prometheus(world):
    made = Prometheus(world)
    yield made
    made.end()


@pytest.fixture
def sites(clean):
    clean.zone(good={"A": [60, "203.0.113.1"]})
    found = [Site(clean, kind) for kind in ("tc", "cgroup")]
    for site in found:
        site.attach(POLICY)
    yield found


def load(sites):
    """Some of everything that is counted."""
    for site in sites:
        site.query("good.test")
        site.query("good.test", protocol="tcp")
        site.query("other.test")
        site.client.send_raw(data=MALFORMED, server="198.51.100.53")
        site.is_open("203.0.113.1")
        site.is_open("203.0.113.77", 8080)
    network = sites[0].world.network
    network.workload.burst(protocol="icmp", target="10.30.0.1", port=0, count=40,
                           replies=False)
    network.workload.burst(protocol="udp", target="10.20.0.1", port=80, count=40)


def wait_loaded(prometheus, sites, scrapes):
    """Loads while so many scrapes see it."""
    def count():
        rows = prometheus.query('count_over_time(up{job="sentinel"}[5m])')
        return int(rows[0]["value"][1]) if rows else 0

    wanted = count() + scrapes
    until(lambda: load(sites) or count() >= wanted, "scrapes", limit_s=60)


def as_asked(expression):
    """As Grafana would ask with everything chosen."""
    return expression.replace("$__rate_interval", RATE).replace(
        "$instance", ".*").replace("$id", ".*")


def test_each_panel_has_something_to_show(prometheus, sites):
    wait_loaded(prometheus, sites, 12)
    empty = []
    for one in promql.expressions():
        if one.is_alert:
            continue
        rows = prometheus.query(as_asked(one.text))
        if not rows or all(row["value"][1] == "NaN" for row in rows):
            empty.append(one)
    assert not empty, "\n".join(map(str, empty))


def test_each_series_that_is_asked_for_exists(prometheus, sites):
    """With each label, and each value of it that is written out; a state that
    no attachment is in at the moment is at least a documented one."""
    wait_loaded(prometheus, sites, 4)
    helps = {name: text for name, (_, _, text) in documented().items()}
    missing = []
    for one in promql.expressions():
        for name, matchers in promql.read(one.text)[0]:
            asked = [name] + [
                f'{name}{{{label}{operator}{json.dumps(value)}}}'
                for label, operator, value in matchers if "$" not in value]
            for text in asked:
                if prometheus.query(text):
                    continue
                value = re.search(r'="([a-z-]+)"\}$', text)
                if not value or not re.search(rf"\b{value[1]}\b",
                                              helps.get(name, "")):
                    missing.append((one.where, text))
    assert not missing, missing


def test_prometheus_reads_every_rule(prometheus, sites):
    def rules():
        found = [rule for group in prometheus.get("/api/v1/rules")["groups"]
                 for rule in group["rules"]]
        return all(rule["health"] == "ok" for rule in found) and found

    found = until(rules, "every rule was evaluated")
    assert sorted(rule["name"] for rule in found) == \
        sorted(rule["alert"] for rule in promql.rules())


def wait_alert(prometheus, alert, is_there=True, limit_s=30):
    until(lambda: (alert in prometheus.alerts()) == is_there,
          f"{alert}: {is_there}", limit_s=limit_s, pause_s=0.2)


def test_what_goes_wrong_is_noticed(prometheus, sites):
    """Pending: the time for which it has to last is the other test's."""
    world = sites[0].world
    wait_alert(prometheus, "SentinelControlPlaneAway")
    for alert in ("SentinelDown", "SentinelDataplaneDown", "SentinelNotFirst",
                  "SentinelProgramsGone", "SentinelStateNotWritten",
                  "SentinelTableFills", "SentinelDnsListenersMissing"):
        wait_alert(prometheus, alert, False)
    front = Front(world)
    wait_alert(prometheus, "SentinelNotFirst")
    front.end()
    wait_alert(prometheus, "SentinelNotFirst", False)
    sorted((world.bpffs / "links").iterdir())[-1].unlink()
    wait_alert(prometheus, "SentinelProgramsGone")
    world.kill_dp()
    wait_alert(prometheus, "SentinelDataplaneDown")
    world.kill_cp()
    wait_alert(prometheus, "SentinelDown")
    world.start_dp()
    world.start_cp()
    wait_alert(prometheus, "SentinelDown", False)
    wait_alert(prometheus, "SentinelDataplaneDown", False)


def test_queries_that_fail_are_noticed(prometheus, sites):
    until(lambda: load(sites) or "SentinelDnsFails" in prometheus.alerts(),
          "it is noticed", limit_s=60)
