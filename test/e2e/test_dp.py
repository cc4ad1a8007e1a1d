# SPDX-License-Identifier: Apache-2.0
"""The running sentinel-dp through its socket: protocol, options, privileges."""

import os
import pwd
import random
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

import dp_client as dp
from dp_host import (  # noqa: F401
    ID, LIMIT_S, PROGRAM, bare, host, peer, refused, sh, wait_for)


def test_new_daemon_has_nothing_to_count(peer):
    assert peer.stats() == {"flows": 0, "attached": 0, "dirty": 0,
                            "records_refused": 0, "peers_refused": 0}


def test_hello_of_another_version_is_refused_with_ours(host):
    peer = host.connect(hello=False)
    refused("EPROTONOSUPPORT", peer.hello, dp.PROTOCOL, dp.ABI + 1)
    refused("EPROTONOSUPPORT", peer.hello, dp.PROTOCOL + 1, dp.ABI)
    answer = peer.hello()
    protocol, abi, slots = struct.unpack_from("=III", answer.body)
    assert (protocol, abi, slots) == (dp.PROTOCOL, dp.ABI, 16)
    errors = struct.unpack_from("=64i", answer.body, 56 + 4 * 64)
    assert not any(errors)


def test_request_before_hello_ends_the_link(host):
    peer = host.connect(hello=False)
    peer.request("STATS", bytes(8))
    with pytest.raises(dp.Closed):
        peer.receive()
    assert host.connect().stats()["records_refused"] == 1


@pytest.mark.parametrize("record", [
    b"\1",
    dp.HEADER.pack(99, 0, 1, 16, 0),
    dp.HEADER.pack(dp.TYPES["STATS"], 0, 1, 16, 0),
    dp.HEADER.pack(dp.TYPES["STATS"], 1, 1, 24, 0) + bytes(8),
    dp.HEADER.pack(dp.TYPES["STATS"], 0, 1, 25, 0) + bytes(8),
    dp.HEADER.pack(dp.TYPES["STATS"], 0, 1, 24, 0) + b"\1" + bytes(7),
    dp.HEADER.pack(dp.TYPES["HELLO"], 0, 1, 24, 0) +
    struct.pack("=II", dp.PROTOCOL, dp.ABI),
    dp.HEADER.pack(dp.TYPES["TABLE_PUT"], 0, 1, 32, 5) + bytes(16),
    dp.HEADER.pack(dp.TYPES["TABLE_PUT"], 0, 1, 32, 0) + b"\xff" * 16,
    bytes(dp.RECORD_BYTES + 1),
], ids=["short", "unknown", "truncated", "answer", "size", "padding",
        "second-hello", "rows", "table", "oversized"])
def test_broken_record_ends_the_link_and_is_counted(host, peer, record):
    with pytest.raises(dp.Closed):
        peer.send_raw(record)
        peer.receive()
    assert host.connect().stats()["records_refused"] == 1
    assert host.process.poll() is None


def test_too_many_descriptors_end_the_link_and_leak_nothing(host, peer):
    fds = Path(f"/proc/{host.process.pid}/fd")
    before = len(list(fds.iterdir()))
    for count in (1, 4, 40):
        peer.request("STATS", bytes(8), fds=[0] * count)
        with pytest.raises(dp.Closed):
            peer.receive()
        peer = host.connect()
    wait_for(lambda: len(list(fds.iterdir())) == before, "no fd is left")


def test_second_peer_is_refused_while_the_first_lives(host, peer):
    with pytest.raises(dp.Closed):
        dp.Client(host.run / "dp.sock")
    assert peer.stats()["peers_refused"] == 1
    peer.close()
    assert host.connect().stats()["peers_refused"] >= 1


def test_other_users_are_refused(bare):
    bare.start(user="nobody")
    with pytest.raises(dp.Closed):
        dp.Client(bare.run / "dp.sock")
    st = (bare.run / "dp.sock").stat()
    assert st.st_mode & 0o777 == 0o660
    assert (st.st_uid, st.st_gid) == (0, pwd.getpwnam("nobody").pw_gid)


CLIENT = """
import mmap, socket, struct, sys
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
peer.connect(sys.argv[1])
peer.send(struct.pack("=HHIIIII", 1, 0, 1, 24, 0, *map(int, sys.argv[2:])))
print(struct.unpack_from("=i", peer.recv(65536), 16)[0])
peer.send(struct.pack("=HHIII8x", 10, 0, 2, 24, 0))
_, fds, _, _ = socket.recv_fds(peer, 65536, 4)
print(len(mmap.mmap(fds[0], 4096, prot=mmap.PROT_READ)))
print(len(mmap.mmap(fds[2], 4096)))
for fd in fds[:2]:
    try:
        mmap.mmap(fd, 4096)
    except PermissionError:
        print("refused")
"""


def test_unprivileged_peer_gets_its_answers_and_mappings(bare):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        bare.run = Path(folder) / "run"
        bare.start(user="nobody")
        done = subprocess.run(
            ["/usr/bin/python3", "-c", CLIENT, str(bare.run / "dp.sock"),
             str(dp.PROTOCOL), str(dp.ABI)],
            text=True, capture_output=True, timeout=LIMIT_S, check=False,
            user="nobody", group="nogroup", extra_groups=[])
    assert done.stdout.split() == ["0", "4096", "4096", "refused",
                                   "refused"], done.stderr


def test_pipelined_requests_are_answered_in_order(peer):
    wanted = [peer.request("STATS", bytes(8)) for _ in range(64)]
    assert [peer.receive().seq for _ in wanted] == wanted


def test_peer_that_does_not_read_only_stops_itself(host, peer):
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    peer.socket.setblocking(False)
    sent = 0
    try:
        for _ in range(20000):
            peer.request("FDS", bytes(8))
            sent += 1
    except BlockingIOError:
        pass
    assert sent < 20000
    peer.socket.settimeout(LIMIT_S)
    for _ in range(sent):
        answer = peer.receive()
        for fd in answer.fds:
            os.close(fd)
    assert answer.seq == peer.seq - 1  # the last one did not go out
    assert host.process.poll() is None



@pytest.mark.parametrize("options, text", [
    (["--slots", "8"], "16 slots, options ask for 8"),
    (["--rules", "500"], "sn_rules has capacity 20000, options ask for 500"),
])
def test_other_capacities_are_refused_by_name(host, peer, options, text):
    peer.attach(ID, ifindex=host.index())
    host.stop()
    done = subprocess.run(host.command(*options), text=True,
                          capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1 and text in done.stderr
    assert host.send() == 0


def test_second_daemon_on_the_same_bpffs_is_refused(host, peer):
    command = host.command()
    command[command.index("--run-dir") + 1] = str(host.folder / "run2")
    done = subprocess.run(command, text=True, capture_output=True,
                          timeout=LIMIT_S, check=False)
    assert done.returncode == 1 and "another sentinel-dp" in done.stderr
    assert peer.stats()["attached"] == 0


def test_second_daemon_in_the_same_run_dir_is_refused(host, peer):
    command = host.command()
    command[command.index("--bpffs") + 1] = str(host.bpffs / "other")
    done = subprocess.run(command, text=True, capture_output=True,
                          timeout=LIMIT_S, check=False)
    assert done.returncode == 1 and "another sentinel-dp" in done.stderr
    assert peer.stats()["attached"] == 0


def test_missing_bpffs_is_named(bare, tmp_path):
    command = bare.command()
    command[command.index("--bpffs") + 1] = str(tmp_path / "plain" / "x")
    (tmp_path / "plain").mkdir()
    done = subprocess.run(command, text=True, capture_output=True,
                          timeout=LIMIT_S, check=False)
    assert done.returncode == 1 and "no bpffs is mounted" in done.stderr


@pytest.mark.parametrize("options", [
    ["--nonsense"], ["--slots"], ["--slots", "0"], ["--slots", "x"],
    ["--slots", "-1"], ["--slots", "99999999999"], ["--tc", "x"], ["extra"],
    ["--events-bytes", "70000"], ["--run-dir", "relative"],
    ["--log-level", "loud"], ["--bpffs", "/" + "x" * 200]], ids=str)
def test_wrong_options_are_refused(options):
    done = subprocess.run([str(PROGRAM), *options], text=True,
                          capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 2 and "--help" in done.stderr


def test_help_and_version_are_printed():
    assert "--slots" in sh(str(PROGRAM), "--help").stdout
    assert sh(str(PROGRAM), "--version").stdout.startswith("sentinel-dp ")


def test_only_three_capabilities_and_a_filter_are_left(host, peer):
    assert peer.stats()
    status = dict(line.split(":\t", 1) for line in
                  Path(f"/proc/{host.process.pid}/status")
                  .read_text().splitlines() if ":\t" in line)
    three = 1 << 39 | 1 << 38 | 1 << 12  # CAP_BPF, PERFMON, NET_ADMIN
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[name], 16) == three
    for name in ("CapInh", "CapAmb"):
        assert int(status[name], 16) == 0
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"


def test_run_directory_is_shared_and_sticky(host):
    assert host.run.stat().st_mode & 0o7777 == 0o1775
    assert (host.bpffs / "sentinel").stat().st_mode & 0o7777 == 0o700


def test_legal_records_with_any_content_are_survived(host, peer):
    chance = random.Random(7)
    fixed = {"LIST": 8, "ATTACH": 32, "DETACH": 24, "TABLE_PUT": 16,
             "TABLE_DEL": 16, "TABLE_GET": 80, "TABLE_SWEEP": 80, "FLIP": 40,
             "STATS": 8}
    widths = {"TABLE_PUT": (192, 192), "TABLE_DEL": (32, 32)}
    index = host.index()
    for _ in range(3000):
        name = chance.choice(list(fixed))
        body = bytearray(chance.choice((0, 0, 1, 2, 3, 255))
                         for _ in range(fixed[name]))
        if name.startswith("TABLE"):
            body[:16] = struct.pack("=IIII", chance.randrange(2),
                                    chance.randrange(4), chance.randrange(3),
                                    chance.randrange(4))
        if name == "ATTACH" and chance.random() < 0.5:
            body = bytearray(struct.pack(
                "=16sIIBBBB4x", bytes([1] * 16), index, 4, 1, 1,
                chance.randrange(5), chance.randrange(2)))
        if name == "DETACH" and chance.random() < 0.5:
            body = bytearray(struct.pack("=16sII", bytes([1] * 16),
                                         chance.randrange(3), 0))
        rows = []
        if name in widths:
            width = widths[name][body[0]]
            rows = [bytes(chance.choice((0, 1, 4, 32)) for _ in range(width))
                    for _ in range(chance.randrange(4))]
        try:
            peer.call(name, bytes(body), rows)
        except dp.Refused:
            pass
        except dp.Closed:
            peer = host.connect()
    assert host.process.poll() is None, host.log.read_text()
    for row in peer.list():
        peer.detach(row["id"], row["slot"])
    assert host.links() == []
