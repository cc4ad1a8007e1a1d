# SPDX-License-Identifier: Apache-2.0
"""What sentinel-dp attaches to, and what it refuses."""

import ctypes
import os
import signal
import socket
import struct
from pathlib import Path

import pytest

import dp_client as dp
from dp_host import (  # noqa: F401
    CONNECT, ID, LIBC, attach_directory, bare, cgroup_root, host,
    in_namespace, peer, refused, run_in, sh, tree, wait_for)


SYS_BPF = 321  # x86_64


def test_interface_is_closed_from_attach_until_flip(host, peer):
    assert host.send() == 1
    made = peer.attach(ID, ifindex=host.index())
    assert made["slot"] == 1 and made["generation"] == 0
    assert made["position"] == 0 and made["object"] == host.index()
    assert host.send() == 0
    peer.flip(1, dp.policy(1, dp.DISABLED))
    assert host.send() == 1
    peer.detach(ID, 1)
    assert host.links() == []
    assert host.send() == 1


def test_initial_mode_is_in_force_at_once(host, peer):
    made = peer.attach(ID, ifindex=host.index(), mode=dp.DISABLED)
    assert made["generation"] == 1
    assert host.send() == 1
    row, = peer.list()
    assert row["id"] == ID and row["generation"] == 1 and row["state"] == 2


def test_rule_opens_and_narrowing_closes_its_flow(host, peer):
    peer.attach(ID, ifindex=host.index())
    peer.put("RULES", 1, 1, [dp.rule_key(1, 1, "10.9.0.1") +
                             dp.value(dp.item())])
    assert peer.list()[0]["staged"] == 1
    assert host.send() == 0
    peer.flip(1, dp.policy(1, dp.ALLOWLIST))
    assert peer.list()[0]["staged"] == 0
    assert host.send() == 1
    assert peer.delete("RULES", 1, 1, [dp.rule_key(1, 1, "10.9.0.1")],
                       dp.NARROW) == [0]
    assert peer.list()[0]["revision"] == 1
    assert host.send() == 0


@pytest.mark.parametrize("change, error", [
    ({"ifindex": 4000000}, "ENODEV"),
    ({"ifindex": 0xffffffff}, "ENODEV"),
    ({"ifindex": 0}, "ENODEV"),
    ({"role": dp.HOST}, "EPERM"),
    ({"ifindex": 1}, "EPERM"),
    ({"role": 3}, "EINVAL"),
    ({"mode": 5}, "EINVAL"),
    ({"audit": 2}, "EINVAL"),
    ({"kind": 3}, "EINVAL"),
    ({"fd": 0}, "EINVAL"),
    ({"kind": dp.CGROUP}, "EINVAL"),
    ({"identity": bytes(16)}, "EINVAL"),
], ids=str)
def test_illegal_attachment_changes_nothing(host, peer, change, error):
    arguments = {"identity": ID, "ifindex": host.index()} | change
    if arguments.get("kind") == dp.CGROUP:
        arguments["ifindex"] = 0
    refused(error, peer.attach, **arguments)
    assert peer.list() == [] and host.links() == []
    assert peer.stats()["attached"] == 0
    assert host.send() == 1


def test_host_role_and_any_driver_when_argv_allows(bare):
    bare.start("--allow-host-role")
    peer = bare.connect()
    peer.attach(ID, ifindex=1, role=dp.HOST, mode=dp.DISABLED)
    assert peer.list()[0]["role"] == dp.HOST


def test_attached_target_or_id_is_refused_again(host, peer):
    host.add_veth("h1", "10.9.1.1/24", "10.9.1.2/24")
    peer.attach(ID, ifindex=host.index(), mode=dp.DISABLED)
    refused("EEXIST", peer.attach, ID[::-1], ifindex=host.index())
    refused("EEXIST", peer.attach, ID, ifindex=host.index("h1"))
    refused("ENOENT", peer.detach, ID[::-1], 1)
    for slot in (0, 2, 16, 0xffffffff):
        refused("ENOENT", peer.detach, ID, slot)
    assert len(peer.list()) == 1


def bpf(command, *fields):
    """bpf(2) with an attribute of these (format, value) fields."""
    attribute = b"".join(struct.pack("=" + form, value)
                         for form, value in fields)
    buffer = ctypes.create_string_buffer(attribute, 128)
    fd = LIBC.syscall(SYS_BPF, command, buffer, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return fd


def link_foreign_program(ifindex, flags):
    """A program on TCX ingress that passes everything and ends the chain."""
    code = struct.pack("=BBhi", 0xb7, 0, 0, 0) + \
        struct.pack("=BBhi", 0x95, 0, 0, 0)
    code_at = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    program = bpf(5, ("I", 3), ("I", 2), ("Q", ctypes.addressof(code_at)),
                  ("Q", ctypes.addressof(licence)))
    try:
        return bpf(28, ("I", program), ("I", ifindex), ("I", 46), ("I", flags))
    finally:
        os.close(program)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="call numbers")
def test_earlier_program_cannot_skip_ours_and_position_is_told(host, peer):
    index = host.index()
    with in_namespace(host.name):
        early = link_foreign_program(index, 0)
    assert host.send() == 1
    assert peer.attach(ID, ifindex=index)["position"] == 0
    assert host.send() == 0
    with in_namespace(host.name):
        late = link_foreign_program(index, 0)
    assert peer.list()[0]["position"] == 0
    assert host.send() == 0
    with in_namespace(host.name):
        front = link_foreign_program(index, 1 << 3)
    assert peer.list()[0]["position"] == 1
    for fd in (early, late, front):
        os.close(fd)


def test_interface_that_is_gone_can_be_detached(host, peer):
    peer.attach(ID, ifindex=host.index())
    host.ip("link", "delete", "h0")
    assert peer.list()[0]["position"] == -2
    peer.detach(ID, 1)
    assert peer.list() == [] and host.links() == []


def test_interface_moved_away_is_reported_gone(host, peer):
    peer.attach(ID, ifindex=host.index())
    host.ip("link", "set", "h0", "netns", host.inside)
    assert peer.list()[0]["position"] == -2
    peer.detach(ID, 1)
    assert host.links() == []


def test_slots_run_out_and_come_back_swept(host, peer):
    for i in range(1, 16):
        host.add_veth(f"x{i}", f"10.8.{i}.1/24", f"10.8.{i}.2/24")
        made = peer.attach(bytes([i] * 16), ifindex=host.index(f"x{i}"))
        assert made["slot"] == i
    refused("EMLINK", peer.attach, ID, ifindex=host.index())
    peer.put("RULES", 5, 1, [dp.rule_key(5, 1, f"10.0.{i}.{j}") +
                             dp.value(dp.item())
                             for i in range(2) for j in range(150)])
    peer.put("PREFIXES", 5, 1, [dp.prefix_key(5, 1, f"10.{i}.0.0", 16) +
                                dp.value(dp.item(), length=16)
                                for i in range(200)])
    peer.detach(bytes([5] * 16), 5)
    made = peer.attach(ID, ifindex=host.index())
    assert made["slot"] == 5
    assert peer.get("RULES", 5) == [] and peer.get("PREFIXES", 5) == []
    assert peer.stats()["dirty"] == 0


def test_generation_goes_on_in_a_slot_used_again(host, peer):
    for wanted in range(3):
        made = peer.attach(ID, ifindex=host.index())
        while made["slot"] != 1:
            peer.detach(ID, made["slot"])
            made = peer.attach(ID, ifindex=host.index())
        assert made["generation"] == wanted
        refused("ESTALE", peer.flip, 1, dp.policy(wanted, dp.DISABLED))
        peer.flip(1, dp.policy(wanted + 1, dp.DISABLED))
        peer.detach(ID, 1)


@pytest.mark.parametrize("flags", [os.O_PATH, os.O_RDONLY])
def test_cgroup_is_closed_from_attach_until_flip(tree, peer, flags):
    group = tree.cgroup("a")
    assert run_in(group, CONNECT) == "connected"
    made = attach_directory(peer, group, flags=flags)
    assert made["object"] == group.stat().st_ino
    assert made["position"] == 0
    assert run_in(group, CONNECT) == "refused"
    peer.flip(made["slot"], dp.policy(1, dp.DISABLED))
    assert run_in(group, CONNECT) == "connected"
    assert len(tree.links()) == 12
    peer.detach(ID, made["slot"])
    assert tree.links() == []
    assert run_in(group, CONNECT) == "connected"


def test_cgroup_attached_again_starts_closed(tree, peer):
    group = tree.cgroup("a")
    slot = attach_directory(peer, group, mode=dp.DISABLED)["slot"]
    assert run_in(group, CONNECT) == "connected"
    peer.detach(ID, slot)
    slot = attach_directory(peer, group)["slot"]
    assert run_in(group, CONNECT) == "refused"


def test_root_cgroup_and_other_directories_are_refused(tree, peer):
    refused("EPERM", attach_directory, peer, cgroup_root())
    refused("ENOTDIR", attach_directory, peer, "/tmp")
    refused("ENOTDIR", attach_directory, peer, "/proc/self")
    fd = os.open(cgroup_root() / "cgroup.procs", os.O_RDONLY)
    refused("ENOTDIR", peer.attach, ID, dp.CGROUP, fd=fd)
    os.close(fd)
    left, right = socket.socketpair()
    refused("ENOTDIR", peer.attach, ID, dp.CGROUP, fd=left.fileno())
    left.close()
    right.close()
    assert tree.links() == []


def test_cgroups_above_and_below_are_busy(tree, peer):
    outer = tree.cgroup("a")
    middle = tree.cgroup("b", outer)
    inner = tree.cgroup("c", middle)
    beside = tree.cgroup("d", outer)
    attach_directory(peer, middle)
    refused("EEXIST", attach_directory, peer, middle, ID[::-1])
    refused("EBUSY", attach_directory, peer, outer, ID[::-1])
    refused("EBUSY", attach_directory, peer, inner, ID[::-1])
    attach_directory(peer, beside, ID[::-1])
    assert len(peer.list()) == 2


def test_cgroup_too_deep_is_refused(tree, peer):
    group = tree.cgroup("a")
    for _ in range(15):
        group = tree.cgroup("d", group)
    slot = attach_directory(peer, group)["slot"]
    peer.detach(ID, slot)
    refused("EINVAL", attach_directory, peer, tree.cgroup("d", group))


def test_cgroup_of_the_daemon_is_refused(bare):
    if not cgroup_root():
        pytest.skip("no cgroup2 mount of the whole tree")
    outer = bare.cgroup("a")
    inner = bare.cgroup("b", outer)
    beside = bare.cgroup("c", outer)
    bare.start(cgroup=inner)
    peer = bare.connect()
    refused("EPERM", attach_directory, peer, inner)
    refused("EPERM", attach_directory, peer, outer)
    attach_directory(peer, beside)


def test_cgroup_of_the_peer_is_refused(tree):
    outer = tree.cgroup("a")
    inner = tree.cgroup("b", outer)
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import dp_client as dp
peer = dp.Client({str(tree.run / "dp.sock")!r})
for path in ({str(inner)!r}, {str(outer)!r}):
    try:
        peer.attach(bytes(range(16)), dp.CGROUP,
                    fd=os.open(path, os.O_PATH | os.O_DIRECTORY))
    except dp.Refused as error:
        print(error)
"""
    assert run_in(inner, code) == "EPERM\nEPERM"


def test_cgroup_that_is_gone_can_be_detached(tree, peer):
    group = tree.cgroup("a")
    slot = attach_directory(peer, group)["slot"]
    group.rmdir()
    wait_for(lambda: peer.list()[0]["position"] == -2, "the link is gone")
    peer.detach(ID, slot)
    assert peer.list() == [] and tree.links() == []


def test_clsact_attaches_adopts_and_detaches(bare):
    bare.start("--tc", "clsact")
    peer = bare.connect()
    slot = peer.attach(ID, ifindex=bare.index(), mode=dp.BLOCK_ALL)["slot"]
    assert bare.links() == [] and peer.list()[0]["position"] == -1
    assert bare.send() == 0
    bare.stop(signal.SIGKILL)
    assert bare.send() == 0
    bare.start()
    peer = bare.connect()
    assert peer.list()[0]["position"] == -1
    peer.flip(slot, dp.policy(2, dp.DISABLED))
    assert bare.send() == 1
    peer.detach(ID, slot)
    with in_namespace(bare.name):
        for side in ("ingress", "egress"):
            shown = sh("tc", "filter", "show", "dev", "h0", side).stdout
            assert "sn_tc" not in shown


def test_tcx_is_taken_where_clsact_was(bare):
    bare.start("--tc", "clsact")
    peer = bare.connect()
    slot = peer.attach(ID, ifindex=bare.index(), mode=dp.BLOCK_ALL)["slot"]
    peer = bare.restart()
    peer.detach(ID, slot)
    peer.attach(ID, ifindex=bare.index(), mode=dp.BLOCK_ALL)
    assert len(bare.links()) == 2
