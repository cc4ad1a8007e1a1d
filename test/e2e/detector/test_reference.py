# SPDX-License-Identifier: Apache-2.0
"""The quick start: sentinel-detector beside the daemons, and a write to
/etc/hosts of another mount namespace."""

import json
import os
import signal
import subprocess

import pytest

import feeding
import world as worlds
from feeding import check_ledger, status, until

CONFIG = """\
runtime:
  enabled: true
detectors:
  - name: reference
    url: http://127.0.0.1:50051
    insecure: true
    events: [file_write]
    match: {path_prefixes: [/etc], comms: [sh]}
    findings: true
""" + feeding.TIMERS + f"""\
detection:
  rules: {feeding.PLACE}/rules.yaml
"""
RULES = """\
rules:
  - name: hosts
    event: file_write
    match: {paths: [/etc/hosts]}
    output: "{process.comm} wrote {file.path}"
"""
WRITE = ('mount --bind "$1" /etc && printf "192.0.2.1 evil.test\\n" >>/etc/hosts')


@pytest.fixture(scope="module")
def world(place, tracefs):
    (place / "rules.yaml").write_text(RULES)
    made = worlds.World(dp_options=[*feeding.OPTIONS, "--tracefs", tracefs],
                        config=worlds.QUICK + CONFIG)
    yield made
    made.end()


@pytest.fixture
def detector(clean, tmp_path):
    log = tmp_path / "log"
    with open(log, "wb") as out:
        child = subprocess.Popen(
            [*clean.in_cgroup("daemons"), *clean.network.enter("router"),
             "setpriv", "--pdeathsig=KILL", worlds.BUILD / "sentinel-detector"],
            stdin=subprocess.DEVNULL, stderr=out)
    yield child, log
    if child.poll() is None:
        child.kill()
        child.wait()


def test_a_write_in_another_mount_namespace_is_reported(clean, detector,
                                                        tmp_path):
    child, log = detector
    feeding.in_force(clean)
    until(lambda: status(clean, "reference")["state"] == "streaming",
          "it is connected")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "hosts").write_text("")
    before = os.stat("/etc/hosts")
    worlds.run(*clean.in_cgroup("work"), "unshare", "--mount", "sh", "-c",
               WRITE, "sh", etc)
    after = os.stat("/etc/hosts")
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == \
        (after.st_ino, after.st_size, after.st_mtime_ns)
    assert (etc / "hosts").read_text() == "192.0.2.1 evil.test\n"
    text = "file_write below /etc: /etc/hosts by sh"
    until(lambda: text in log.read_text(encoding="utf-8"), "it is reported")
    found, = until(lambda: [
        one for one in map(json.loads, clean.ctl(
            "findings", "-o", "json").out.splitlines())
        if one["detector"]], "it is a finding")
    assert found["detector"] == "reference" and found["text"] == text
    assert found["event"]["process"]["comm"] == "sh"
    # The rule's finding comes to it, and its own does not.
    until(lambda: status(clean, "reference")["reports_sent"],
          "it is told of the finding")
    state = status(clean, "reference")
    assert state["reports"] == state["reports_sent"] == 1
    assert f"report event_id={found['event']['uuid']} score=0.60 reason='sh " \
        "wrote /etc/hosts'" in log.read_text(encoding="utf-8")
    check_ledger(state)
    child.send_signal(signal.SIGTERM)
    assert child.wait(feeding.LIMIT_S) == 0
    assert "anomalies=1 reports=1" in log.read_text(encoding="utf-8")
