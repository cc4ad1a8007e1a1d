# SPDX-License-Identifier: Apache-2.0
"""New attachments under a control plane: closed until it speaks, and what
becomes of them when it does not."""

import signal
import subprocess
import threading
import time

import pytest

from planes import PLAIN, Plane
from traffic import A, B, each
from world import QUICK, until

BASE = QUICK + PLAIN + "  subscribe_timeout: 600ms\n"
WORLD = {"config": BASE}
LOCAL = "cidrs:\n  - allow: 10.20.0.0/16\n  - allow: fd20::/16\n"


def configure(world, text, timeout="600ms"):
    """timeout: of a subscription. Long enough for what a test does meanwhile."""
    world.kill_cp()
    world.config.write_text(BASE.replace("600ms", timeout) + text)
    world.start_cp()


@pytest.fixture
def plane(clean, stubs):
    made = Plane(clean, stubs)
    yield made
    made.close()
    configure(clean, "")


class Attaching:
    """An attach that is under way."""

    def __init__(self, target, policy=LOCAL):
        self.answer = None
        self.target = target
        kind = "--interface" if target.kind == "tc" else "--cgroup"
        arguments = ["attach", kind, target.name, "--policy",
                     target.world.policy_file(policy)]
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.run, args=[arguments])
        self.thread.start()

    def run(self, arguments):
        self.answer = self.target.world.ctl(*arguments, "-o", "json")
        self.took_s = time.monotonic() - self.began

    def finish(self):
        self.thread.join(10)
        assert not self.thread.is_alive()
        if self.answer.code == 0:
            self.target.id = self.answer.json["id"]
        return self.answer


def one(world):
    return until(lambda: world.ok("list"), "it is listed")[0]["id"]


def test_closed_until_the_first_word(plane, target):
    world = target.world
    configure(target.world, "", timeout="20s")
    plane.sync(len(plane.opens))
    attaching = Attaching(target, LOCAL + "mode: disabled\n")
    target.id = one(world)
    told = plane.event("subscribed").attachment
    assert (told.id, told.closed, told.applied_revision) == \
        (target.id, True, 0)
    target.judge(each(A, False) + each(B, False))
    assert attaching.answer is None
    plane.do(target.id, 1, subscribed_ack=plane.pb.SubscribedAck(
        policy=plane.bulk(["10.30.0.0/16"])))
    assert attaching.finish().code == 0
    target.judge(each(B, True, families=(4,)) + each(A, True))


def test_an_ack_without_policy_leaves_it_closed(plane, target):
    world = target.world
    plane.sync()
    attaching = Attaching(target)
    target.id = one(world)
    plane.do(target.id, 1, subscribed_ack=plane.pb.SubscribedAck())
    assert attaching.finish().code == 0
    target.judge(each(A, False) + each(B, False))
    assert "control plane" in " ".join(target.show()["notes"])
    plane.do(target.id, 2, set_mode=plane.pb.SetMode(
        mode=plane.policy.MODE_ALLOWLIST))
    target.judge(each(A, True) + each(B, False))
    assert "control plane" not in " ".join(target.show()["notes"])


def test_unanswered_it_stays_closed(plane, target):
    """Also without a connection, and also over a restart; a late answer is
    taken."""
    world = target.world
    attaching = Attaching(target)
    assert attaching.finish().code == 0
    assert 0.5 < attaching.took_s < 5
    target.judge(each(A, False) + each(B, False))
    answer = world.ctl("mode", target.id, "allowlist")
    assert answer.code and "control plane" in answer.err
    world.kill_cp()
    world.start_cp()
    target.judge(each(A, False))
    known = plane.sync(len(plane.opens))
    assert known[target.id].closed
    plane.do(target.id, 1, subscribed_ack=plane.pb.SubscribedAck(
        policy=plane.bulk(["10.30.0.0/16"])))
    target.judge(each(A, True) + each(B, True, families=(4,)))


def test_unanswered_it_takes_its_local_policy(plane, target):
    world = target.world
    configure(world, "  unanswered: local\n", timeout="3s")
    attaching = Attaching(target)
    target.id = one(world)
    target.judge(each(A, False))
    assert attaching.finish().code == 0
    target.judge(each(A, True) + each(B, False))
    # It is the host's until the control plane speaks.
    world.ok("mode", target.id, "allowlist", "--audit")
    plane.sync(len(plane.opens))
    plane.do(target.id, 1, bulk_update=plane.bulk([B[4]]))
    assert world.ctl("mode", target.id, "disabled").code


def test_unanswered_it_is_rolled_back(plane, target):
    world = target.world
    configure(world, "  unanswered: rollback\n")
    plane.sync(len(plane.opens))
    attaching = Attaching(target)
    answer = attaching.finish()
    assert answer.code and "did not answer within 600 ms" in answer.err
    until(lambda: world.ok("list") == [], "it is gone")
    ident = plane.event("subscribed").attachment.id
    gone = plane.event("unsubscribed", lambda event: event.id == ident)
    assert gone.reason == plane.pb.UnsubscribedReason.Value(
        "UNSUBSCRIBED_REASON_ERROR")
    assert "in time" in gone.text
    target.judge(each(A, True) + each(B, True))


@pytest.mark.parametrize("unanswered", ["local", "rollback"])
def test_unanswered_while_the_dataplane_is_away(plane, target, unanswered):
    world = target.world
    configure(world, f"  unanswered: {unanswered}\n", timeout="2s")
    attaching = Attaching(target)
    target.id = one(world)
    told = len(world.log())
    world.kill_dp()
    until(lambda: "tried again after" in world.log()[told:],
          "it has failed once")
    assert attaching.answer is None
    world.start_dp()
    world.wait_connected()
    answer = attaching.finish()
    if unanswered == "local":
        assert answer.code == 0
        target.judge(each(A, True) + each(B, False))
    else:
        assert answer.code and "did not answer" in answer.err
        assert world.ok("list") == []
        target.judge(each(A, True) + each(B, True))


def test_a_refused_first_word_counts_as_none(plane, target):
    world = target.world
    configure(world, "  unanswered: rollback\n")
    plane.sync(len(plane.opens))
    attaching = Attaching(target)
    ident = plane.event("subscribed").attachment.id
    plane.refused("subscribed_ack.policy.dns", ident=ident, revision=1,
                  subscribed_ack=plane.pb.SubscribedAck(
                      policy=plane.bulk(dns=False)))
    assert attaching.finish().code
    until(lambda: world.ok("list") == [], "it is gone")


def test_the_host_may_be_denied_rules(plane, interface):
    world = interface.world
    configure(world, "  local_rules: false\n")
    plane.sync(len(plane.opens))
    attaching = Attaching(interface)
    interface.id = one(world)
    plane.do(interface.id, 1, subscribed_ack=plane.pb.SubscribedAck(
        policy=plane.bulk([B[4]])))
    assert attaching.finish().code == 0
    assert [rule["owner"] for rule in world.ok("rules", interface.id)] == \
        ["remote"]
    for command in ("allow", "deny", "remove"):
        answer = world.ctl(command, interface.id, A[4])
        assert answer.code and "control.local_rules" in answer.err
    interface.judge(each(A, False) + each(B, True, families=(4,)))


def test_large_commands_wait_outside(plane, interface):
    """While nothing can be applied, no more of them are taken in than two
    times what one may have."""
    world = interface.world
    configure(world, "  max_message: 64KiB\n")
    plane.sync(len(plane.opens))
    attaching = Attaching(interface)
    interface.id = plane.event("subscribed").attachment.id
    plane.do(interface.id, 1, subscribed_ack=plane.pb.SubscribedAck(
        policy=plane.bulk([B[4]])))
    assert attaching.finish().code == 0

    def count():
        return world.ok("status")["control_plane"]["commands"]

    before = count()
    large = plane.bulk([f"10.{i >> 8}.{i & 255}.0/24" for i in range(2500)])
    assert 40 << 10 < large.ByteSize() < 64 << 10
    world.dp.send_signal(signal.SIGSTOP)
    try:
        sent = [plane.send(interface.id, 2 + i, bulk_update=large)
                for i in range(10)]
        until(lambda: count() >= before + 2, "two are taken in")
        until_s = time.monotonic() + 1
        while time.monotonic() < until_s:
            assert count() == before + 2
    finally:
        world.dp.send_signal(signal.SIGCONT)
    for command_id in sent:
        assert plane.result(command_id).success


def test_a_broken_lease_is_closed_all_the_same(plane, clean, api):
    """The control plane alone sets the policy; who ends an attachment is the
    host's to say, and so is closing it on the way."""
    plane.sync()
    folder = clean.cgroup("leased")
    stream = api.stub.Lease(api.daemon.LeaseRequest(
        attach=api.daemon.AttachRequest(cgroup_path=str(folder))), timeout=60)
    ident = plane.event("subscribed").attachment.id
    plane.do(ident, 1, subscribed_ack=plane.pb.SubscribedAck(
        policy=plane.bulk([B[4]])))
    assert next(stream).attached.id == ident
    with subprocess.Popen([*clean.in_cgroup("leased"), "sleep", "1000"]) as \
            child:
        until(lambda: str(child.pid) in (folder / "cgroup.procs").read_text(),
              "it is there")
        stream.cancel()
        try:
            until(lambda: clean.show(ident)["mode"] == "block-all",
                  "it is closed")
        finally:
            child.kill()
    until(lambda: not clean.ok("list"), "it has ended")


def test_policy_events_are_a_bounded_sample(plane, interface):
    world = interface.world
    configure(world, "  policy_events: 5\n")
    plane.sync(len(plane.opens))
    attaching = Attaching(interface, "mode: allowlist\n")
    interface.id = one(world)
    plane.do(interface.id, 1, subscribed_ack=plane.pb.SubscribedAck(
        policy=plane.bulk([B[4]])))
    assert attaching.finish().code == 0
    interface.judge(each(A, False) * 5)
    event = plane.event("policy_event", lambda event:
                        event.flow.remote_address == A[4] and
                        event.flow.protocol == 6)
    assert (event.id, event.reason, event.audited) == \
        (interface.id, "no-rule", False)
    assert event.flow.direction == 1  # DIRECTION_EGRESS
    assert event.flow.remote_port == 80
    assert abs(event.time_ms / 1000 - time.time()) < 60
    beat = plane.event("heartbeat", lambda beat: beat.policy_events_unsent > 0)
    assert beat.events_dropped == 0
    assert len(plane.all("policy_event")) <= 15
