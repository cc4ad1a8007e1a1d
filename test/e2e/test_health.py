# SPDX-License-Identifier: Apache-2.0
"""/healthz and /readyz say what the kernel shows, within seconds."""

import json
import os
import re
import subprocess

import pytest

import world as worlds
from test_metrics import agent_in
from world import until

PORT = 9101
POLICY = "dns: {steering: false}\ncidrs:\n  - allow: 10.20.0.0/16\n"
STEERED = "cidrs:\n  - allow: 10.20.0.0/16\n"
LIMIT_S = 30  # the kernel is looked at every 3 s


@pytest.fixture
def web(clean):
    agent = agent_in(clean)
    until(lambda: agent.get_or_none(port=PORT, path="/healthz"), "it listens")
    return agent


def ask(web, path):
    answer = web.get(port=PORT, path=path)
    assert answer["headers"]["content-type"] == "application/json"
    body = json.loads(answer["body"])
    assert (answer["status"] == 200) == (not body["reasons"])
    assert answer["status"] in (200, 503)
    return answer["status"], body


def wait_ready(web):
    until(lambda: ask(web, "/readyz")[0] == 200, "it is ready", LIMIT_S)


def wait_reason(web, text, ident=None):
    found = {}

    def is_told():
        status, body = ask(web, "/readyz")
        found["body"] = body
        return status == 503 and any(
            text in reason["reason"] and reason.get("id") == ident
            for reason in body["reasons"])

    try:
        until(is_told, text, LIMIT_S)
    except AssertionError:
        raise AssertionError(f"'{text}' is not told: {found}") from None
    assert web.get(port=PORT, path="/healthz")["status"] == 200


def wait_look(web):
    """The age of what is known of the kernel's hooks falls at each look."""
    ages = [0.0]

    def is_younger():
        page = web.get(port=9102, path="/metrics")["body"]
        age, = re.findall(r"^sentinel_link_checked_seconds (\S+)$", page,
                          re.MULTILINE)
        ages.append(float(age))
        return ages[-1] < ages[-2]

    until(is_younger, "the kernel is looked at", LIMIT_S)


def test_ready_when_what_is_attached_is_enforced(web, target):
    target.attach(policy=POLICY)
    wait_ready(web)
    status, body = ask(web, "/readyz")
    assert (status, body["status"], body["attachments"]) == (200, "ready", 1)
    assert ask(web, "/healthz")[1]["status"] == "ok"


class Front:
    """A program of somebody else that comes first."""

    def __init__(self, world):
        script = os.path.join(os.path.dirname(__file__), "tools",
                              "tcx_front.py")
        self.child = subprocess.Popen(
            [*world.network.enter("router"), "/usr/bin/python3", script, "w0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.child.stdout.readline() == "ready\n"

    def end(self):
        self.child.stdin.close()
        assert self.child.wait(timeout=worlds.LIMIT_S) == 0
        self.child.stdout.close()


def test_another_program_before_ours_is_told(web, interface):
    interface.attach(policy=POLICY)
    wait_ready(web)
    front = Front(interface.world)
    wait_reason(web, "run before ours", interface.id)
    front.end()
    wait_ready(web)


def test_a_program_that_was_detached_is_told(web, target):
    """And stays told, over further looks at the kernel, until somebody acts."""
    world = target.world
    target.attach(policy=POLICY)
    wait_ready(web)
    # The pin is the last reference: the link goes with it.
    sorted((world.bpffs / "links").iterdir())[-1].unlink()
    wait_reason(web, "gone from a hook", target.id)
    for _ in range(2):
        wait_look(web)
    status, body = ask(web, "/readyz")
    assert (status, body["attachments"]) == (503, 1)
    wait_reason(web, "gone from a hook", target.id)


def test_the_data_plane_is_away(web, target):
    world = target.world
    target.attach(policy=POLICY)
    wait_ready(web)
    world.kill_dp()
    wait_reason(web, "sentinel-dp is not connected")
    world.start_dp()
    wait_ready(web)


def test_it_is_ready_again_after_a_restart_of_both(web, target):
    world = target.world
    target.attach(policy=POLICY)
    world.kill_dp()
    world.kill_cp()
    world.start_cp()
    world.start_dp()
    world.wait_connected()
    until(lambda: web.get_or_none(port=PORT, path="/readyz") == 200,
          "it is ready", LIMIT_S)


def test_without_a_way_to_the_resolver_it_is_not_ready(web, interface):
    """This world has no sentinel0."""
    interface.attach(policy=STEERED)
    wait_reason(web, "no resolver", interface.id)
    interface.apply(POLICY)
    wait_ready(web)


@pytest.mark.parametrize("path", ["/", "/health", "/readyz/", "/readyz/.."])
def test_other_paths_are_not_there(web, path):
    assert web.get(port=PORT, path=path)["status"] == 404
