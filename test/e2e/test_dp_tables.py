# SPDX-License-Identifier: Apache-2.0
"""Rows, generations, flows and counters through sentinel-dp."""

import mmap
import os
import random
import struct

import pytest

import dp_client as dp
from dns_listener import FILTERS
from dp_host import (  # noqa: F401
    ID, SMALL, bare, host, peer, refused, rows, slot)


def test_rows_are_sealed_and_read_back(peer, slot):
    sent = rows(slot, 1, 1000)
    for i in range(0, 1000, 250):
        assert peer.put("RULES", slot, 1, sent[i:i + 250]).applied == 250
    found = peer.get("RULES", slot, 1)
    assert {row[:32] for row in found} == {row[:32] for row in sent}
    for row in found:
        tag, used, seq, n_items = struct.unpack_from("=QQIB", row, 32)
        end, = struct.unpack_from("=Q", row, 32 + 24 + 16 * n_items)
        assert tag and used and end == (tag + seq) % (1 << 64)
    assert peer.get("RULES", slot, 2) == []


def test_prefixes_are_walked_and_swept(peer, slot):
    sent = [dp.prefix_key(slot, 1, f"10.{i >> 8}.{i & 255}.0", 24) +
            dp.value(dp.item(), length=24) for i in range(9000)]
    for i in range(0, len(sent), 300):
        peer.put("PREFIXES", slot, 1, sent[i:i + 300])
    found = peer.get("PREFIXES", slot)
    assert {row[:32] for row in found} == {row[:32] for row in sent}
    peer.flip(slot, dp.policy(1, dp.ALLOWLIST, trie4=1))
    other = [dp.prefix_key(slot, 2, f"10.{i >> 8}.{i & 255}.0", 24) +
             dp.value(dp.item(), length=24) for i in range(9000)]
    for i in range(0, len(other), 300):
        peer.put("PREFIXES", slot, 2, other[i:i + 300])
    assert peer.sweep("PREFIXES", slot, 2) == 9000
    assert len(peer.get("PREFIXES", slot)) == 9000


def test_named_keys_are_read(peer, slot):
    peer.put("RULES", slot, 1, rows(slot, 1, 3))
    keys = [dp.rule_key(slot, 1, "10.0.1.1"), dp.rule_key(slot, 1, "9.9.9.9")]
    done, _, _, found = peer.page("TABLE_GET", "RULES", flags=dp.KEYS,
                                  rows=keys)
    assert done and [row[:32] for row in found] == keys[:1]


def test_refused_row_is_named_and_nothing_is_applied(peer, slot):
    batch = rows(slot, 1, 9)
    batch[4] = dp.rule_key(slot, 1, "10.0.0.1", 24) + dp.value(dp.item())
    error = refused("EINVAL", peer.put, "RULES", slot, 1, batch)
    assert (error.index, error.applied) == (4, 0)
    assert peer.get("RULES") == []


def test_rows_of_another_slot_generation_or_table_are_refused(peer, slot):
    refused("EINVAL", peer.put, "RULES", slot, 1, rows(slot + 1, 1, 1))
    refused("EINVAL", peer.put, "RULES", slot, 1, rows(slot, 2, 1))
    refused("ESTALE", peer.put, "RULES", slot, 2, rows(slot, 2, 1))
    refused("ESTALE", peer.put, "RULES", slot, 0, rows(slot, 0, 1))
    refused("ENOENT", peer.put, "RULES", slot + 1, 1, rows(slot + 1, 1, 1))
    refused("EINVAL", peer.put, "FLOWS", slot, 1, [])
    refused("EINVAL", peer.put, "TARGETS", slot, 1, [])
    refused("EINVAL", peer.put, "RULES", slot, 1, [], flags=4)
    refused("EINVAL", peer.page, "TABLE_GET", "WORDS")
    refused("EINVAL", peer.page, "TABLE_SWEEP", "COUNTERS")
    assert peer.get("RULES") == []


def test_full_table_says_how_much_was_applied(bare):
    bare.start(small=SMALL + ["--rules", "100"])
    peer = bare.connect()
    slot = peer.attach(ID, ifindex=bare.index())["slot"]
    error = refused("ENOSPC", peer.put, "RULES", slot, 1, rows(slot, 1, 300))
    assert error.applied == error.index == len(peer.get("RULES"))
    assert 100 <= error.applied < 300


def test_delete_answers_for_each_key(peer, slot):
    lapsed = 1
    peer.put("RULES", slot, 1, rows(slot, 1, 2))
    peer.put("RULES", slot, 1,
             [dp.rule_key(slot, 1, "10.7.7.7") +
              dp.value(dp.item(expires=lapsed))])
    keys = [dp.rule_key(slot, 1, a) for a in ("10.0.0.1", "9.9.9.9",
                                              "10.7.7.7")]
    # Its items have lapsed, but it was written a moment ago.
    assert peer.delete("RULES", slot, 1, keys, dp.UNUSED) == [2, 1, 2]
    assert peer.delete("RULES", slot, 1, keys) == [0, 1, 0]


def test_sweep_keeps_the_current_generation(peer, slot):
    peer.put("RULES", slot, 1, rows(slot, 1, 40))
    peer.flip(slot, dp.policy(1, dp.ALLOWLIST))
    peer.put("RULES", slot, 2, rows(slot, 2, 50))
    refused("EBUSY", peer.sweep, "RULES", slot, 1)
    refused("EINVAL", peer.sweep, "RULES", 0)
    refused("ENOENT", peer.sweep, "RULES", slot + 1)
    assert peer.list()[0]["staged"] == 2
    assert peer.sweep("RULES", slot, 2) == 50
    assert peer.list()[0]["staged"] == 0
    assert len(peer.get("RULES", slot)) == 40
    peer.put("RULES", slot, 2, rows(slot, 2, 50))
    peer.flip(slot, dp.policy(2, dp.ALLOWLIST))
    refused("ESTALE", peer.put, "RULES", slot, 1, rows(slot, 1, 1))
    assert peer.delete("RULES", slot, 1,
                       [row[:32] for row in rows(slot, 1, 10)]) == [0] * 10
    assert peer.sweep("RULES", slot) == 30
    assert len(peer.get("RULES", slot)) == 50


@pytest.mark.parametrize("block", [
    dp.policy(2, dp.ALLOWLIST), dp.policy(0, dp.ALLOWLIST)])
def test_flip_takes_only_the_next_generation(peer, slot, block):
    refused("ESTALE", peer.flip, slot, block)
    assert peer.list()[0]["generation"] == 0


@pytest.mark.parametrize("block", [
    dp.policy(1, 0), dp.policy(1, 9), dp.policy(1, 2, audit=7),
    dp.policy(1, 2, inbound=0), dp.policy(1, 2, lengths4=(8, 24)),
    dp.policy(1, 2, lengths4=(24,), trie4=1)])
def test_flip_refuses_an_illegal_policy(peer, slot, block):
    refused("EINVAL", peer.flip, slot, block)
    assert peer.list()[0]["generation"] == 0


def test_flows_are_listed_counted_and_swept(host, peer, slot):
    peer.flip(slot, dp.policy(1, dp.DENYLIST))
    assert host.send(3) == 3
    found = peer.get("FLOWS_NEW", slot)
    assert found
    assert peer.sweep("FLOWS_NEW", flags=dp.IDLE) == 0
    assert peer.sweep("FLOWS_NEW", slot) == len(found)
    assert peer.get("FLOWS_NEW", slot) == []
    refused("EINVAL", peer.sweep, "FLOWS", slot, 1)


def test_descriptors_are_counters_reasons_and_events(host, peer, slot):
    peer.flip(slot, dp.policy(1, dp.DISABLED))
    assert host.send() == 1
    answer = peer.call("FDS", bytes(8))
    n_fds, n_slots, n_cpus, _ = struct.unpack_from("=IIII", answer.body)
    assert n_fds == len(answer.fds) == 3 + len(FILTERS)
    size = n_slots * n_cpus * 64
    size = (size + 4095) // 4096 * 4096
    counters = mmap.mmap(answer.fds[0], size, prot=mmap.PROT_READ)
    seen = sum(struct.unpack_from("=Q", counters, (slot * n_cpus + i) * 64)[0]
               for i in range(n_cpus))
    assert seen >= 1
    for fd in answer.fds[:2]:
        with pytest.raises(PermissionError):
            mmap.mmap(fd, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    for fd in answer.fds:
        os.close(fd)


def test_any_cursor_is_survived(host, peer, slot):
    peer.put("RULES", slot, 1, rows(slot, 1, 100))
    chance = random.Random(1)
    for table in ("RULES", "PREFIXES", "FLOWS", "FLOWS_NEW", "FRAGMENTS"):
        for name in ("TABLE_GET", "TABLE_SWEEP"):
            for _ in range(20):
                cursor = bytes(chance.randrange(256) for _ in range(64))
                try:
                    peer.page(name, table, slot, cursor=cursor)
                except dp.Refused:
                    pass
    assert host.process.poll() is None and peer.stats()["attached"] == 1
