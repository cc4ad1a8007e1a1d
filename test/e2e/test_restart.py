# SPDX-License-Identifier: Apache-2.0
"""What holds while daemons are dead, and what their successors find."""

import shutil
import subprocess

import pytest

from traffic import A, A_DENIED, B, each
from world import LIMIT_S, until

WORLD = {"config": ""}  # the defaults
POLICY = """
mode: allowlist
cidrs:
  - {allow: 10.20.0.0/16, ports: [80/tcp, 80/udp, icmp]}
  - {deny: 10.20.9.0/24}
  - {allow: fd20::/16, ttl: 1h}
  - {deny: fd20:1:9::/48}
"""

DEAD = pytest.mark.parametrize("dead", [("dp",), ("cp",), ("dp", "cp")],
                               ids=["dp", "cp", "both"])


def everything(world):
    """All that must be the same after a restart."""
    state = {}
    for item in world.ok("list"):
        rules = world.ok("rules", item["id"])
        for rule in rules:
            rule["remaining_seconds"] = bool(rule["remaining_seconds"])
        state[item["id"]] = ({key: item.get(key) for key in (
            "target", "type", "role", "mode", "audit", "inbound", "metadata",
            "attached_at", "generation", "rules", "state")}, rules)
    return state


def in_background(world, *arguments):
    return subprocess.Popen(
        [str(world.bin / "sentinelctl"), "--socket", str(world.api_path),
         *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def judge_policy(target):
    target.judge(each(A, True) + each(A_DENIED, False) + each(B, False))


@DEAD
def test_kill_and_adopt(target, dead):
    world, client = target.world, target.client
    target.attach("--meta", "who=me", policy=POLICY)
    world.ok("allow", target.id, "10.30.7.0/24", "--ports", "443/tcp")
    client.open(name="kept", protocol="tcp", target=A[4], port=80)
    assert client.exchange(name="kept") == "ok"
    state, before = everything(world), target.settle()

    for name in dead:
        getattr(world, "kill_" + name)()
    judge_policy(target)
    assert client.exchange(name="kept") == "ok"
    if "cp" not in dead:
        answer = world.ctl("allow", target.id, B[4])
        assert answer.code == 1 and "sentinel-dp" in answer.err, answer
        assert target.show()["state"] == "detached-dp"
        assert world.ctl("status").code == 1
        assert target.counted()["packets_allowed"] > before["packets_allowed"]

    for name in dead:
        getattr(world, "start_" + name)()
    world.wait_connected()
    assert everything(world) == state
    after = target.settle()
    assert after["packets_allowed"] > before["packets_allowed"]
    assert after["packets_blocked"] > before["packets_blocked"]
    judge_policy(target)
    assert client.exchange(name="kept") == "ok"
    client.close(name="kept")

    # Changes work, single ones and whole policies, and so does detaching.
    world.ok("allow", target.id, B[4])
    target.judge(each(B, True, families=(4,)))
    world.ok("remove", target.id, B[4])
    target.judge(each(B, False, families=(4,)))
    target.apply("cidrs:\n  - allow: 10.30.0.0/16\n  - allow: fd30::/16\n")
    target.judge(each(B, True) + each(A, False))
    world.ok("detach", target.id)
    target.judge(each(A, True))


def test_counters_go_on_while_all_is_dead(target):
    target.attach(policy=POLICY)
    before = target.settle()
    target.world.kill_cp()
    target.world.kill_dp()
    sent = target.client.burst(protocol="icmp", target=A[4], port=0, count=25)
    assert sent["received"] == 25
    target.client.burst(protocol="icmp", target=B[4], port=0, count=10,
                        replies=False)
    target.world.ensure_daemons()
    target.difference(before, packets_allowed=50, packets_blocked=10,
                      reason_no_rule=10)


def test_orderly_stop_changes_nothing_in_the_kernel(target):
    world = target.world
    target.attach(policy=POLICY)
    state = everything(world)
    assert world.stop(world.cp) == 0
    assert world.stop(world.dp) == 0
    judge_policy(target)
    world.ensure_daemons()
    assert everything(world) == state
    judge_policy(target)


def test_nothing_is_rewritten_when_all_is_equal(target):
    """Adopting does not judge running flows anew nor raise the generation."""
    target.attach(policy=POLICY)
    generation = target.show()["generation"]
    for _ in range(2):
        target.world.kill_cp()
        target.world.start_cp()
    assert target.show()["generation"] == generation


def test_killed_in_the_middle_of_changes(target):
    """Whatever the moment, what is shown afterwards is what is enforced, and
    each change was made whole or not at all."""
    world = target.world
    target.attach(policy="cidrs:\n  - allow: 10.20.0.0/16\n")
    open_b = "cidrs:\n" + "".join(
        f"  - allow: 10.30.{n // 256}.{n % 256}\n" for n in range(3000))
    path = world.policy_file(open_b)
    for name in ("cp", "dp", "cp", "dp"):
        child = in_background(world, "apply", target.id, str(path))
        getattr(world, "kill_" + name)()
        child.wait(timeout=LIMIT_S)
        world.ensure_daemons()
        rules = target.show()["rules"]
        assert rules in (1, 3000)
        target.judge(each(A, rules == 1, families=(4,)) +
                     each(B, rules == 3000, families=(4,)))
        target.apply("cidrs:\n  - allow: 10.20.0.0/16\n")
        target.judge(each(A, True, families=(4,)) +
                     each(B, False, families=(4,)))


def test_attach_interrupted_leaves_it_closed_or_undone(interface):
    """dp dies under an attach: nothing half-made stays."""
    world = interface.world
    child = in_background(world, "attach", "--interface", "w0")
    world.kill_dp()
    child.wait(timeout=LIMIT_S)
    world.start_dp()
    world.wait_connected()
    listed = world.ok("list")
    assert len(listed) <= 1
    interface.judge(each(A, not listed))
    if not listed:
        world.attach("w0")
    interface.judge(each(A, False))


def test_lost_state_file_never_opens(target):
    """The kernel's tables are the truth: what is enforced stays enforced and
    is taken over."""
    world = target.world
    target.attach(policy=POLICY)
    world.kill_cp()
    for path in world.state_dir.iterdir():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    world.start_cp()
    judge_policy(target)
    assert [item["id"] for item in world.ok("list")] == [target.id]
    rules = {(rule["verdict"], rule["cidr"])
             for rule in world.ok("rules", target.id)}
    assert rules == {("allow", "10.20.0.0/16"), ("deny", "10.20.9.0/24"),
                     ("allow", "fd20::/16"), ("deny", "fd20:1:9::/48")}
    target.apply(POLICY)
    judge_policy(target)


def test_broken_state_file_is_said_and_not_overwritten(clean):
    clean.attach(clean.cgroup("box"))  # So that there is a file.
    clean.kill_cp()
    path = clean.state_dir / "state.pb"
    good = path.read_bytes()
    bad = bytearray(good)
    bad[-1] ^= 1
    try:
        path.write_bytes(bad)
        clean.start_cp(wait=False)
        assert clean.cp.wait(timeout=LIMIT_S) == 1
        clean.cp = None
        assert path.name in clean.logs()
        assert path.read_bytes() == bytes(bad)
    finally:
        path.write_bytes(good)


def test_second_daemons_refuse_to_start(clean):
    first_dp, first_cp = clean.dp, clean.cp
    clean.dp = clean.cp = None
    try:
        clean.start_dp(wait=False)
        assert clean.dp.wait(timeout=LIMIT_S) == 1
        clean.start_cp(wait=False)
        assert clean.cp.wait(timeout=LIMIT_S) == 1
    finally:
        clean.dp, clean.cp = first_dp, first_cp
    assert clean.is_ready()


def test_interface_that_comes_back_is_closed_again(clean):
    """As after a reboot: the state file knows it, the kernel does not."""
    clean.network.add_namespace("later")
    clean.network.link("l0", "later", ("10.12.0.1", "fd12::1"),
                       ("10.12.0.2", "fd12::2"))
    agent = clean.network.agent("later")
    try:
        ident = clean.attach("l0", policy="cidrs:\n  - allow: 10.20.0.0/16\n")
        clean.kill_cp()
        clean.kill_dp()
        # A reboot empties bpffs.
        shutil.rmtree(clean.bpffs)
        clean.ensure_daemons()
        until(lambda: clean.show(ident)["state"] == "enforced",
              "attached again")
        answers = agent.probe(probes=[["udp", A[4], 80, True],
                                      ["udp", B[4], 80, False]], grace_s=0.1)
        assert [answer["result"] for answer in answers] == ["ok", "timeout"]
    finally:
        agent.end()
        clean.network.ip("link", "delete", "l0", check=False)
        clean.network.remove_namespace("later")


def test_dp_of_other_capacities_refuses_and_enforcement_goes_on(interface):
    world = interface.world
    interface.attach(policy=POLICY)
    world.kill_dp()
    world.start_dp(wait=False, options=["--slots", "100"])
    assert world.dp.wait(timeout=LIMIT_S) == 1
    world.dp = None
    assert "slots" in world.logs()
    judge_policy(interface)
