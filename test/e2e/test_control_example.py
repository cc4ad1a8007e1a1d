# SPDX-License-Identifier: Apache-2.0
"""The control plane to start from, as its own text says."""

import importlib.util
import subprocess
import sys

import pytest

from planes import PORT, until_synced, with_keepalive
from traffic import A, B, each
from world import QUICK, ROOT, until

EXAMPLES = ROOT / "etc" / "examples"
WORLD = {"config": QUICK + with_keepalive("5m") +
         "  subscribe_timeout: 4s\n"}


class Example:
    def __init__(self, world, policies):
        self.world, self.log = world, world.folder / "example.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [*world.in_cgroup("daemons"),
                 *world.network.enter("router"), "setpriv",
                 "--pdeathsig=KILL", sys.executable,
                 str(EXAMPLES / "control-plane.py"), "--policies",
                 str(policies), "--listen", f"127.0.0.1:{PORT}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def heard(self, *words):
        until(lambda: any(all(word in line for word in words)
                          for line in self.log.read_text().splitlines()),
              f"{words}: {self.log.read_text()[-2000:]}")

    def end(self):
        self.child.kill()
        self.child.wait()


@pytest.fixture
def example(clean, tmp_path):
    made = []

    def start(text):
        path = tmp_path / "policies.yaml"
        path.write_text(text)
        for old in made:
            old.end()
        made.append(Example(clean, path))
        until_synced(clean)
        return made[-1], path

    yield start
    for one in made:
        one.end()


def rules(world, ident):
    return {(rule["cidr"], rule["verdict"], rule["owner"])
            for rule in world.ok("rules", ident)}


def test_events_of_later_versions_are_passed_over(stubs):
    spec = importlib.util.spec_from_file_location(
        "control_plane", EXAMPLES / "control-plane.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pb = stubs["control_pb2"]
    host = module.Host(pb, None, "host")
    # As one is that says nothing known here.
    host.hear(pb.DaemonEvent())
    host.hear(pb.DaemonEvent(sync_request=pb.SyncRequest()))
    assert host.out.get(timeout=1).WhichOneof("command") == "sync_ack"


def test_the_sample_is_served_by_metadata(example, interface):
    world = interface.world
    plane, _ = example((EXAMPLES / "control-plane.yaml").read_text())
    plane.heard("sync_request", world.ok("status")["daemon_id"])
    ident = interface.attach("--meta", "tenant=web")
    plane.heard("subscribed", ident)
    assert rules(world, ident) == {
        ("10.0.0.0/8", "allow", "remote"), ("10.1.2.0/24", "deny", "remote"),
        ("192.0.2.53/32", "allow", "remote")}
    plane.heard("command_result", ident, "success: true")
    world.ok("detach", ident)
    plane.heard("unsubscribed", ident)
    ident = interface.attach("--meta", "tenant=batch")
    assert interface.show()["mode"] == "block-all"


def test_a_changed_file_reaches_every_host(example, interface):
    world = interface.world
    text = "- match: {}\n  mode: allowlist\n  cidrs: [{allow: %s}]\n"
    plane, path = example(text % "10.20.0.0/16")
    ident = interface.attach()
    interface.judge(each(A, True, families=(4,)) + each(B, False))
    path.write_text("- match: {}\n  mode: nonsense\n")
    plane.heard("the policies before stay")
    path.write_text(text % "10.30.0.0/16")
    until(lambda: rules(world, ident) == {("10.30.0.0/16", "allow", "remote")},
          "the new policy is there")
    interface.judge(each(B, True, families=(4,)) + each(A, False))
    # Restarted, it goes on where the host is.
    plane, path = example(text % "10.20.0.0/16")
    until(lambda: rules(world, ident) == {("10.20.0.0/16", "allow", "remote")},
          "the policy of the restarted one is there")
