# SPDX-License-Identifier: Apache-2.0
"""What outlives sentinel-dp, wherever it dies."""

import re
import signal
import struct
import subprocess
import time

import pytest

import dp_client as dp
from dp_host import (  # noqa: F401
    CONNECT, ID, attach_directory, bare, check_whole, host,
    peer, rows, run_in, sh, tree, wait_for)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_attachments_and_rules_outlive_the_process(host, peer, how):
    slot = peer.attach(ID, ifindex=host.index())["slot"]
    peer.put("RULES", slot, 1, rows(slot, 1, 10))
    peer.flip(slot, dp.policy(1, dp.BLOCK_ALL))
    peer.put("RULES", slot, 2, rows(slot, 2, 20))
    before, = peer.list()
    host.stop(how)
    assert host.send() == 0
    host.start()
    peer = host.connect()
    after, = check_whole(host, peer)
    # Every flow is judged again: the death may have been between the rows of a
    # narrowing batch and its bump.
    assert after == {**before, "revision": before["revision"] + 1}
    assert after["staged"] == 2
    assert len(peer.get("RULES", slot)) == 30
    peer.sweep("RULES", slot, 2)
    peer.flip(slot, dp.policy(2, dp.DISABLED))
    assert host.send() == 1
    peer.detach(ID, slot)
    assert host.links() == []


def test_death_at_any_point_of_the_first_start_is_repaired(bare):
    for delay_ms in list(range(0, 100, 7)) + [150, 250, 400]:
        process = subprocess.Popen(bare.command(), stderr=subprocess.DEVNULL)
        time.sleep(delay_ms / 1000)
        process.kill()
        process.wait()
        bare.start()
        peer = bare.connect()
        made = peer.attach(ID, ifindex=bare.index())
        assert made["position"] == 0
        peer.detach(ID, made["slot"])
        assert bare.stop() == 0
        sh("rm", "-r", str(bare.bpffs / "sentinel"))


def test_death_during_attach_leaves_all_or_nothing(host):
    counts = set()
    peer = host.connect()
    for i in range(25):
        peer.request("ATTACH", struct.pack(
            "=16sIIBBBB4x", ID, host.index(), 8, dp.TC, dp.WORKLOAD, 0, 0))
        time.sleep(i / 2000)
        peer = host.restart(signal.SIGKILL)
        found = check_whole(host, peer)
        counts.add(len(found))
        assert host.send() == (0 if found else 1)
        for row in found:
            peer.detach(row["id"], row["slot"])
        assert host.links() == []
    assert counts <= {0, 1}


def test_half_made_attachment_is_undone(host, peer):
    """As left by a death between the two links."""
    slot = peer.attach(ID, ifindex=host.index())["slot"]
    host.stop(signal.SIGKILL)
    root = host.bpffs / "sentinel"
    (root / f"links/{slot}-sn_tc_egress").unlink()
    key = struct.pack("=I", slot)
    pin = str(root / "maps/sn_targets")
    shown = sh("bpftool", "-j", "map", "lookup", "pinned", pin, "key", "hex",
               *[f"{b:02x}" for b in key]).stdout
    raw = bytearray(int(b, 16) for b in
                    re.findall(r'"0x(\w\w)"', shown.split('"value"')[1])[:168])
    assert raw[36] == 2
    raw[36] = 1
    sh("bpftool", "map", "update", "pinned", pin, "key", "hex",
       *[f"{b:02x}" for b in key], "value", "hex", *[f"{b:02x}" for b in raw])
    assert host.send() == 0
    host.start()
    peer = host.connect()
    assert peer.list() == [] and host.links() == []
    assert host.send() == 1
    wait_for(lambda: peer.stats()["dirty"] == 0, "the slot is swept")


def test_lost_link_is_reported(host, peer):
    slot = peer.attach(ID, ifindex=host.index())["slot"]
    (host.bpffs / f"sentinel/links/{slot}-sn_tc_egress").unlink()
    # Taken off, as the interface and the other links live.
    assert peer.list()[0]["position"] == -3
    peer = host.restart()
    assert peer.list()[0]["position"] == -3
    peer.detach(ID, slot)
    assert host.links() == []


def test_links_of_nobody_are_removed(host, peer):
    slot = peer.attach(ID, ifindex=host.index())["slot"]
    links = host.bpffs / "sentinel/links"
    (links / f"{slot}-sn_tc_egress").rename(links / "9-sn_tc_egress")
    (links / f"{slot}-sn_tc_ingress").rename(links / "nonsense")
    peer = host.restart()
    assert host.links() == []


def link_program(host, name):
    shown = sh("bpftool", "link", "show", "pinned",
               str(host.bpffs / "sentinel/links" / name)).stdout
    return re.search(r"prog (\d+)", shown).group(1)


def test_other_object_replaces_programs_under_live_links(tree, peer):
    host = tree
    group = host.cgroup("a")
    slot = peer.attach(ID, ifindex=host.index(), mode=dp.BLOCK_ALL)["slot"]
    other = attach_directory(peer, group, ID[::-1], mode=dp.BLOCK_ALL)["slot"]
    names = [f"{slot}-sn_tc_ingress", f"{other}-sn_connect4"]
    before = [link_program(host, name) for name in names]
    peer = host.restart()
    assert [link_program(host, name) for name in names] == before
    host.stop()
    pin = str(host.bpffs / "sentinel/maps/sn_meta")
    shown = sh("bpftool", "-j", "map", "lookup", "pinned", pin, "key", "0", "0",
               "0", "0").stdout
    raw = re.findall(r'"0x(\w\w)"', shown.split('"value"')[1])[:48]
    raw[16:48] = ["11"] * 32
    sh("bpftool", "map", "update", "pinned", pin, "key", "0", "0", "0", "0",
       "value", "hex", *raw)
    host.start()
    peer = host.connect()
    after = [link_program(host, name) for name in names]
    assert not set(before) & set(after)
    check_whole(host, peer)
    assert host.send() == 0 and run_in(group, CONNECT) == "refused"
    assert not (host.bpffs / "sentinel/programs_new").exists()
    host.restart()
    assert [link_program(host, name) for name in names] == after


def test_pins_of_another_version_are_named_as_such(host):
    """Also if they lack a map that this version has."""
    host.stop()
    pins = host.bpffs / "sentinel/maps"
    old = struct.pack("=12I", dp.ABI - 1, *[0] * 11)
    sh("bpftool", "map", "update", "pinned", str(pins / "sn_meta"), "key", "0",
       "0", "0", "0", "value", *map(str, old))
    (pins / "sn_dns").unlink()
    done = subprocess.run(host.command(), text=True, capture_output=True,
                          timeout=20, check=False)
    assert done.returncode == 1
    assert f"pins have ABI version {dp.ABI - 1}, this is {dp.ABI}" in done.stderr
    assert "detach everything with their version and remove " + str(
        host.bpffs / "sentinel") in done.stderr
