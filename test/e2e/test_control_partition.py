# SPDX-License-Identifier: Apache-2.0
"""The way to the control plane breaks, in every way that it can: the policies
stay, the host goes on, and one resync makes up for what was missed."""

import random
import signal
import time

import pytest

from planes import PORT, TIMERS, Plane, is_synced, kernel_becomes, take_over, \
    until_synced
from traffic import A, B, Target, each
from world import QUICK, until

NEAR, FAR = "10.254.9.1", "10.254.9.2"
WORLD = {"config": QUICK + f"""
control:
  urls: ["http://{FAR}:{PORT}"]
  insecure: true
{TIMERS}  subscribe_timeout: 200ms
"""}
ALLOW, DENY = 1, 2


@pytest.fixture
def plane(clean, stubs):
    network = clean.network
    if not hasattr(network, "has_plane"):
        network.add_namespace("plane")
        network.link("c0", "plane", (NEAR, "fd54:9::1"), (FAR, "fd54:9::2"))
        network.has_plane = True
    made = Plane(clean, stubs, "plane", listen=f"{FAR}:{PORT}")
    yield made
    made.close()
    heal(clean)


def heal(world):
    network = world.network
    network.ip("link", "set", "c0", "up")
    network.ip("neigh", "replace", FAR, "lladdr", hardware(world), "nud",
               "permanent", "dev", "c0")
    network.ip("route", "del", "blackhole", NEAR + "/32", namespace="plane",
               check=False)


def hardware(world):
    text = world.network.ip("link", "show", "eth0", namespace="plane").stdout
    return text.split("link/ether ")[1].split()[0]


def break_link(world, plane):
    world.network.ip("link", "set", "c0", "down")


def break_one_way(world, plane):
    """What the daemon sends arrives, and is never answered."""
    world.network.ip("route", "add", "blackhole", NEAR + "/32",
                     namespace="plane")


def break_process(world, plane):
    plane.child.send_signal(signal.SIGSTOP)


def mend(world, plane):
    plane.child.send_signal(signal.SIGCONT)
    heal(world)


@pytest.mark.parametrize("break_it", [break_link, break_one_way,
                                      break_process])
def test_a_partition_leaves_the_policy_and_a_resync_converges(
        plane, interface, break_it):
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    break_it(world, plane)
    began, looked = time.monotonic(), []

    def is_noticed():
        looked.append(time.monotonic())
        return not is_synced(world)

    # On its way when the path broke: lost, or there before.
    if break_it is not break_process:
        plane.send(ident, 2, allow_cidr=plane.pb.AllowCIDR(cidr=A[6]))
    until(is_noticed, "the dead path is noticed")
    assert looked[-1] - began < 4
    assert time.monotonic() - looked[-1] < 2
    interface.judge(each(A, True, families=(4,)) + each(B, False))

    # The host goes on meanwhile: answers are quick, others come and go.
    box = Target(world, "cgroup")
    began = time.monotonic()
    passing = box.attach()
    world.ok("allow", ident, B[4])
    world.ok("detach", passing)
    assert time.monotonic() - began < 3
    box.attach()

    n_streams = len(plane.opens)
    mend(world, plane)
    known = plane.sync(n_streams + 1)
    assert set(known) == {ident, box.id}
    applied = known[ident].applied_revision
    assert applied in (1, 2)
    plane.do(ident, applied + 1, bulk_update=plane.bulk([B[6]]))
    plane.do(box.id, 1, bulk_update=plane.bulk([A[4]]))
    interface.judge(each(A, False) + each(B, True))
    box.judge(each(A, True, families=(4,)) + each(B, False))
    plane.event("unsubscribed", lambda event: event.id == passing)


def test_a_stuck_peer_delays_nobody(plane, interface):
    """It reads nothing any more, and the paths are alive long enough."""
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    plane.child.send_signal(signal.SIGSTOP)
    took = []
    for i in range(20):
        began = time.monotonic()
        world.ok("allow", ident, f"10.77.0.{i}")
        took.append(time.monotonic() - began)
    interface.judge(each(A, True, families=(4,)))
    plane.child.send_signal(signal.SIGCONT)
    assert sorted(took)[10] < 0.5, took
    until_synced_again(world, plane)


def until_synced_again(world, plane):
    if not is_synced(world):
        plane.sync(len(plane.opens))
    until_synced(world)


def test_a_restarted_control_plane_finds_everything(plane, interface):
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface, cidrs=[A[4]])
    plane.kill()
    interface.judge(each(A, True, families=(4,)))
    plane.start()
    known = plane.sync()
    assert known[ident].applied_revision == 1
    assert dict(known[ident].metadata) == {}


def make_changes(plane, ident, rng, count, model, revision):
    """Single changes over a few hundred prefixes, and what they amount to."""
    changes = []
    for i in range(count):
        number = rng.randrange(300)
        cidr = f"10.60.{number // 256}.{number % 256}"
        kind = rng.choice(("allow_cidr", "deny_cidr", "remove_cidr"))
        message = {"allow_cidr": plane.pb.AllowCIDR,
                   "deny_cidr": plane.pb.DenyCIDR,
                   "remove_cidr": plane.pb.RemoveCIDR}[kind](cidr=cidr)
        changes.append(plane.make(ident, revision + i, **{kind: message}))
        if kind == "remove_cidr":
            model.pop(cidr + "/32", None)
        else:
            model[cidr + "/32"] = ALLOW if kind == "allow_cidr" else DENY
    return changes


def send_all(plane, messages, limit_s=120):
    before = len(plane.all("command_result"))
    for message in messages:
        plane.send_raw(message.SerializeToString())
    plane.wait(lambda: len(plane.all("command_result")) ==
               before + len(messages), f"{len(messages)} results",
               limit_s=limit_s)
    return plane.all("command_result")[before:]


def test_ten_thousand_changes_converge(plane, interface):
    """In order, with repeats between them; then reordered, which leaves gaps
    that one update closes. What the kernel holds is the model."""
    rng = random.Random(5)
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface)
    model = {}
    changes = make_changes(plane, ident, rng, 10000, model, 2)
    sent = []
    for at, message in enumerate(changes):
        sent.append(message)
        if at and rng.random() < 0.1:
            sent.append(changes[rng.randrange(at)])
    results = send_all(plane, sent)
    assert all(result.success for result in results)
    assert sum(not result.repeated for result in results) == len(changes)
    kernel_becomes(world, model)

    shuffled = make_changes(plane, ident, rng, 500, model, 10002)
    for at in range(0, len(shuffled), 20):
        part = shuffled[at:at + 20]
        rng.shuffle(part)
        shuffled[at:at + 20] = part
    # The control plane's word on the whole comes last, and once more.
    last = plane.make(ident, 10502, bulk_update=plane.bulk([
        plane.rule(cidr, "ALLOW" if verdict == ALLOW else "DENY")
        for cidr, verdict in model.items()]))
    results = send_all(plane, shuffled + [last, shuffled[0], last])
    assert all(result.success for result in results)
    assert results[-1].repeated and results[-1].applied_revision == 10502
    kernel_becomes(world, model)
    print(f"{len(sent)} commands")
