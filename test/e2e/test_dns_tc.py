# SPDX-License-Identifier: Apache-2.0
"""Steering of interfaces by sentinel-dp alone: a resolver that stands for
sentinel-cp's listens where the daemon says. The host filters reverse paths
strictly, forwards nothing, and has no address on the workloads' interfaces."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import threading
from pathlib import Path

import pytest

import dp_client as dp
from dns_tc_host import (
    OWN, PORT, SILENT_S, DnsHost, Resolver, answered, ask, attach, checksum,
    client, counts, fds, read_udp, slot_address, udp_packet)
from dp_host import ID, Host, in_namespace, refused, sh, wait_for

OTHER = bytes(range(2, 18))
EVERY = [("udp", "9.9.9.9"), ("udp", "2620:fe::fe"), ("tcp", "9.9.9.9"),
         ("tcp", "2620:fe::fe")]
SERVERS = {4: "9.9.9.9", 6: "2620:fe::fe"}
INSIDE = ["10.1.0.2/24", "fd10:1::2/64"]


@pytest.fixture
def place(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made = DnsHost(tmp_path)
    yield made
    made.end()


@pytest.fixture(params=["auto", "clsact"])
def host(place, request):
    place.start("--tc", request.param)
    return place


@pytest.fixture
def plain(place):
    place.start()
    return place


def join(host):
    peer = host.connect()
    host.serve(peer)
    return peer


def steered(peer, slot):
    return counts(peer, slot)[0].get("PASS_DNS", 0)


@pytest.mark.parametrize("kind, server", EVERY)
def test_question_is_answered_by_the_server_that_was_asked(host, kind, server):
    peer = join(host)
    work = host.add_workload("t0", INSIDE)
    slot = attach(host, peer, "t0")
    assert ask(work, server, kind) == answered(slot, server)
    assert host.resolver.asked == [
        (slot_address(6 if ":" in server else 4, slot), b"q")]
    reasons, packets = counts(peer, slot)
    # Of TCP both handshakes count as well.
    assert reasons["PASS_DNS"] == 2 if kind == "udp" else \
        reasons["PASS_DNS"] >= 8
    assert packets["allowed"][0] >= 1 and packets["allowed"][1] >= 1
    assert not {"DNS_STEER", "DNS_ADDRESS", "NO_RULE"} & set(reasons)
    assert peer.get("FLOWS") == [] and peer.get("FLOWS_NEW") == []


def test_every_mode_steers_but_block_all_and_policies_that_do_not(plain):
    peer = join(plain)
    work = plain.add_workload("t0", INSIDE)
    slot = attach(plain, peer, "t0")
    generation = 1
    for mode in (dp.DISABLED, dp.ALLOWLIST, dp.DENYLIST):
        generation += 1
        peer.flip(slot, dp.policy(generation, mode, dns=1))
        assert ask(work, "9.9.9.9") == answered(slot, "9.9.9.9")
    for block in (dp.policy(generation + 1, dp.ALLOWLIST),
                  dp.policy(generation + 2, dp.BLOCK_ALL)):
        peer.flip(slot, block)
        assert ask(work, "9.9.9.9", wait=SILENT_S) is None
    refused("EINVAL", peer.flip, slot,
            dp.policy(generation + 3, dp.BLOCK_ALL, dns=1))
    reasons, _ = counts(peer, slot)
    assert reasons["NO_RULE"] >= 1 and reasons["MODE"] >= 1
    assert len(plain.resolver.asked) == 3


def test_tenants_with_one_address_ask_at_once_and_get_their_own(plain):
    peer = join(plain)
    slots, spaces = [], []
    for i, identity in enumerate((ID, OTHER)):
        spaces.append(plain.add_workload(f"t{i}", INSIDE))
        slots.append(attach(plain, peer, f"t{i}", identity))
    for kind, server in EVERY:
        local = ("fd10:1::2" if ":" in server else "10.1.0.2", 5353)
        family = 6 if ":" in server else 4
        with client(spaces[0], family, kind, local) as one, \
                client(spaces[1], family, kind, local) as two:
            for made in (one, two):
                made.connect((server, 53))
            for i, made in enumerate((one, two)):
                made.send(str(i).encode())
            assert [made.recv(999).decode() for made in (two, one)] == [
                answered(slots[i], server, str(i))[0] for i in (1, 0)]


def test_one_socket_asks_three_servers_and_knows_the_answers_apart(plain):
    """As musl's resolver does."""
    peer = join(plain)
    work = plain.add_workload("t0", INSIDE)
    slot = attach(plain, peer, "t0")
    for family, servers in ((4, ["9.9.9.9", "1.1.1.1", "10.1.0.77"]),
                            (6, ["2620:fe::fe", "2606::1", "fd10:1::77"])):
        near = servers[2]
        sh("ip", "-n", work, "neighbour", "replace", near, "lladdr",
           "02:00:00:00:00:77", "dev", "eth0")
        with client(work, family, "udp") as made:
            for server in servers:
                made.sendto(server.encode(), (server, 53))
            got = sorted(made.recvfrom(999)[:2] for _ in servers)
        assert [(data.decode(), peer[0]) for data, peer in got] == sorted(
            (answered(slot, server, server)[0], server) for server in servers)


def test_bridge_port(plain):
    """The server is beyond a bridge that has no address."""
    peer = join(plain)
    work = plain.add_workload("t0", INSIDE)
    plain.ip("link", "add", "br0", "type", "bridge")
    plain.ip("link", "set", "br0", "addrgenmode", "none", "up")
    plain.ip("link", "set", "t0", "master", "br0")
    slot = attach(plain, peer, "t0")
    for kind, server in EVERY:
        assert ask(work, server, kind) == answered(slot, server)


def test_more_than_one_segment_by_tcp(plain):
    peer = join(plain)
    work = plain.add_workload("t0", INSIDE)
    attach(plain, peer, "t0")
    for family, server in SERVERS.items():
        with client(work, family, "tcp") as made:
            made.connect((server, 53))
            sender = threading.Thread(target=made.sendall,
                                      args=(b"q" * 300000,))
            sender.start()
            total = 0
            while total < 300000:
                total += made.recv(65536).count(b"q")
            sender.join(10)
        assert total == 300000


class Tun:
    """A tun device of the host and what is behind it."""

    def __init__(self, host, name):
        with in_namespace(host.name):
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.fd, 0x400454ca,  # TUNSETIFF: IFF_TUN, IFF_NO_PI
                        struct.pack("16sH22x", name.encode(), 0x1001))
        host.ip("link", "set", name, "addrgenmode", "none", "up")

    def ask(self, packet):
        os.write(self.fd, packet)
        return wait_for(self.read, "an answer on the tun device")

    def read(self):
        """The next datagram, or nothing; the host also looks for routers."""
        try:
            return read_udp(os.read(self.fd, 65536))
        except BlockingIOError:
            return None


def test_tun_device_has_packets_without_frames(plain):
    peer = join(plain)
    tun = Tun(plain, "tun0")
    slot = attach(plain, peer, "tun0")
    for source, server in (("10.1.0.2", "9.9.9.9"),
                           ("fd10:1::2", "2620:fe::fe")):
        answer = tun.ask(udp_packet(source, server, 4000, b"q"))
        assert answer == (
            server, 53, source, 4000, answered(slot, server)[0])
    os.close(tun.fd)


def test_datagram_without_checksum(plain):
    peer = join(plain)
    tun = Tun(plain, "tun0")
    slot = attach(plain, peer, "tun0")
    answer = tun.ask(udp_packet("10.1.0.2", "9.9.9.9", 4000, b"q", False))
    assert answer[4] == answered(slot, "9.9.9.9")[0]
    # IPv6 has no such thing (RFC 8200 8.1): the host refuses it.
    os.write(tun.fd, udp_packet("fd10:1::2", "2620:fe::fe", 4000, b"q", False))
    answer = tun.ask(udp_packet("fd10:1::2", "2620:fe::fe", 4001, b"r"))
    assert answer[3] == 4001
    os.close(tun.fd)


def frame(host, work, packet, tag=None):
    """From the workload's interface to the host's, with a VLAN tag."""
    inside = sh("ip", "-n", work, "-br", "link", "show", "eth0").stdout.split()
    ends = [bytes.fromhex(mac.replace(":", ""))
            for mac in (host.mac("t0"), inside[2])]
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return b"".join(ends) + (struct.pack("!HH", 0x8100, tag)
                             if tag is not None else b"") + kind + packet


def complete_checksums(host, name):
    """The interface leaves no checksum to be filled in by a device that the
    other end of a veth pair is not (ETHTOOL_STXCSUM)."""
    value = ctypes.create_string_buffer(struct.pack("=II", 0x17, 0))
    with in_namespace(host.name), \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8946, struct.pack(
            "16sP16x", name.encode(), ctypes.addressof(value)))


@pytest.mark.parametrize("tag", [None, 0x6005])
def test_tagged_client_gets_tagged_answers(plain, tag):
    """Priority 3, VLAN 5; the tag comes back, the priority too."""
    peer = join(plain)
    work = plain.add_workload("t0", INSIDE)
    slot = attach(plain, peer, "t0")
    complete_checksums(plain, "t0")
    with in_namespace(work):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with wire:
        wire.bind(("eth0", 3))
        wire.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
        wire.settimeout(10)
        for source, server in (("10.1.0.77", "9.9.9.9"),
                               ("fd10:1::77", "2620:fe::fe")):
            sent = frame(plain, work, udp_packet(source, server, 4000, b"q"),
                         tag)
            wire.send(sent)
            while True:
                data, extra, _, where = wire.recvmsg(65536, 64)
                packet = data[14:]
                if where[2] != 4 and data[12:14] in (b"\x08\x00",
                                                     b"\x86\xdd"):
                    found = read_udp(packet) if len(packet) > 28 else None
                    if found and found[1] == 53:
                        break
            assert found == (server, 53, source, 4000,
                             answered(slot, server)[0])
            assert data[:6] == sent[6:12] and data[6:12] == sent[:6]
            # struct tpacket_auxdata: status, ..., the tag, its protocol.
            status, *_, tci, _ = struct.unpack("=IIIHHHH", extra[0][2])
            assert (tci if status & 0x10 else None) == tag


def test_fragments_are_dropped_and_counted(plain):
    peer = join(plain)
    work = plain.add_workload("t0", INSIDE)
    slot = attach(plain, peer, "t0")
    for server in SERVERS.values():
        assert ask(work, server, text=b"q" * 3000, wait=SILENT_S) is None
    reasons, packets = counts(peer, slot)
    assert reasons["DNS_STEER"] == 2 and reasons["FRAGMENT"] == 4
    assert packets["blocked"][0] >= 6 and "PASS_DNS" not in reasons
    assert plain.resolver.asked == []


def heard(namespace, device, act):
    """UDP, TCP and ICMP that arrive on the device during and shortly after
    what is done."""
    found = []
    with in_namespace(namespace):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with wire:
        wire.bind((device, 3))
        act()
        wire.settimeout(SILENT_S)
        try:
            while True:
                data, where = wire.recvfrom(65536)
                if where[2] != 4 and data[12:14] in (b"\x08\x00",
                                                     b"\x86\xdd"):
                    proto = data[23] if data[12] == 8 else data[20]
                    if proto in (1, 6, 17):
                        found.append(data)
        except TimeoutError:
            return found


def test_outsiders_get_nothing_from_the_resolver(plain):
    """A namespace that is not attached, routed to the host, asks the
    resolver's own address: no answer, no refusal, no handshake."""
    peer = join(plain)
    out = plain.add_workload("t1", ["10.2.0.2/24", "fd10:2::2/64"])
    plain.ip("address", "add", "10.255.255.254/32", "dev", "t1")
    plain.ip("route", "add", "10.2.0.0/24", "dev", "t1")
    plain.ip("route", "add", "fd10:2::/64", "dev", "t1")
    for family in (4, 6):
        for kind in ("udp", "tcp"):
            assert heard(out, "eth0", lambda: ask(
                out, OWN[family], kind, port=PORT, wait=SILENT_S)) == []
    # With a slot's address as well.
    for family, device in ((4, "198.18.1.1/32"), (6, "fd53:6e74:6c64:1::101")):
        sh("ip", "-n", out, "address", "add", device, "dev", "eth0",
           *(["nodad"] if family == 6 else []))
        source = (device.split("/")[0], 4000)
        for kind in ("udp", "tcp"):
            assert ask(out, OWN[family], kind, port=PORT, source=source,
                       wait=SILENT_S) is None
    assert plain.resolver.asked == []
    assert peer.get("DNS_NAT") == []


def test_local_processes_that_are_not_attached_get_nothing(plain):
    join(plain)
    for family in (4, 6):
        for kind in ("udp", "tcp"):
            assert ask(plain.name, OWN[family], kind, port=PORT,
                       wait=SILENT_S) is None
    assert plain.resolver.asked == []


def test_workload_cannot_use_the_reserved_addresses_itself(plain):
    peer = join(plain)
    work = plain.add_workload("t0", INSIDE)
    slot = attach(plain, peer, "t0", mode=dp.DENYLIST)
    other = plain.add_workload("t1", INSIDE)
    attach(plain, peer, "t1", OTHER)
    for family in (4, 6):
        mine, theirs = (slot_address(family, n) for n in (slot, slot + 1))
        sh("ip", "-n", work, "address", "add", mine, "dev", "eth0",
           *(["nodad"] if family == 6 else []))
        for kind in ("udp", "tcp"):
            for to in (OWN[family], theirs):
                assert ask(work, to, kind, port=PORT, wait=SILENT_S) is None
            # Port 53, but with the identity of another in its source.
            assert ask(work, SERVERS[family], kind, source=(mine, 4000),
                       wait=SILENT_S) is None
    reasons, _ = counts(peer, slot)
    assert reasons["DNS_ADDRESS"] >= 12 and "PASS_DNS" not in reasons
    assert plain.resolver.asked == []
    assert ask(other, "9.9.9.9") == answered(slot + 1, "9.9.9.9")


def test_forged_answers_do_not_reach_the_client(plain):
    """What is forwarded into the pair has not come from the listener, whatever
    its source says."""
    peer = join(plain)
    work = plain.add_workload("t0", INSIDE)
    slot = attach(plain, peer, "t0")
    out = plain.add_workload("t1", ["10.2.0.2/24", "fd10:2::2/64"])
    sh("ip", "netns", "exec", plain.name, "sh", "-c",
       "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding;"
       " echo 1 >/proc/sys/net/ipv4/ip_forward")
    with client(work, 6, "udp", ("fd10:1::2", 4000)) as made, \
            in_namespace(out):
        made.sendto(b"q", ("2620:fe::fe", 53))
        assert made.recv(999)
        key, = [row for row in peer.get("DNS_NAT") if row[6] == 6]
        port = struct.unpack_from("!H", key, 4)[0]
        packet = udp_packet(OWN[6], slot_address(6, slot), PORT, b"forged",
                            to=port)
        gateway = bytes.fromhex(plain.mac("t1").replace(":", ""))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0x86dd))
            seen = heard_on_pair(plain, lambda: wire.send(
                gateway + bytes(6) + b"\x86\xdd" + packet))
        made.settimeout(SILENT_S)
        with pytest.raises(TimeoutError):
            made.recv(999)
    assert not seen


def heard_on_pair(host, act):
    return [data for data in heard(host.name, "sentinel1", act)
            if b"forged" in data]


def test_detaching_sweeps_the_translations(plain):
    peer = join(plain)
    works = [plain.add_workload(f"t{i}", INSIDE) for i in range(2)]
    slots = [attach(plain, peer, f"t{i}", identity)
             for i, identity in enumerate((ID, OTHER))]
    for work in works:
        for kind, server in EVERY:
            assert ask(work, server, kind)
    rows = peer.get("DNS_NAT")
    assert sorted({struct.unpack_from("=I", row)[0] for row in rows}) == slots
    assert len(rows) == 8
    peer.detach(ID, slots[0])
    wait_for(lambda: len(peer.get("DNS_NAT")) == 4, "swept")
    assert ask(works[1], "9.9.9.9") == answered(slots[1], "9.9.9.9")
    assert ask(works[0], "9.9.9.9", wait=SILENT_S) is None


class Asking:
    """A workload that asks on and on, by UDP and by one TCP connection."""

    def __init__(self, work):
        self.work = work
        self.failed = []
        self.n = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with client(self.work, 4, "tcp") as made:
            made.connect(("9.9.9.9", 53))
            while not self.over.is_set():
                made.sendall(b"t")
                if not made.recv(999):
                    self.failed.append(self.n)
                if not ask(self.work, "1.1.1.1", wait=3):
                    self.failed.append(self.n)
                self.n += 1

    def reach(self, more):
        wanted = self.n + more
        wait_for(lambda: self.n >= wanted or not self.thread.is_alive(),
                 "questions")

    def end(self):
        self.over.set()
        self.thread.join(20)
        assert not self.failed and self.n > 0


def test_questions_go_on_while_the_daemon_is_killed_and_restarted(host):
    peer = join(host)
    work = host.add_workload("t0", INSIDE)
    slot = attach(host, peer, "t0")
    asking = Asking(work)
    options = [word for word in host.process.args if word in ("auto", "clsact")]
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        asking.reach(5)
        host.stop(how)
        asking.reach(5)
        host.start("--tc", *options)
    asking.reach(5)
    asking.end()
    peer = host.connect()
    assert steered(peer, slot) > 60
    assert "DNS_STEER" not in counts(peer, slot)[0]


def is_closed(peer):
    try:
        peer.stats()
    except dp.Closed:
        return True
    return False


def test_pair_that_is_made_again_is_taken_into_use(host):
    peer = join(host)
    work = host.add_workload("t0", INSIDE)
    slot = attach(host, peer, "t0")
    before = peer.dns()["ifindex_host"]
    assert ask(work, "9.9.9.9")
    host.netdev("stop")
    wait_for(lambda: is_closed(peer), "cp is made to say HELLO again")
    peer = host.connect()
    assert peer.dns()["has_tc"] == 0
    assert ask(work, "9.9.9.9", wait=SILENT_S) is None
    assert counts(peer, slot)[0]["DNS_STEER"] >= 1
    host.netdev("start")
    wait_for(lambda: is_closed(peer), "and again")
    peer = host.connect()
    assert peer.dns()["has_tc"] == 1
    assert peer.dns()["ifindex_host"] != before
    for kind, server in EVERY:
        assert ask(work, server, kind) == answered(slot, server)


def test_pair_whose_addresses_change_is_taken_into_use(host):
    """The interface stays, so its program does."""
    peer = join(host)
    work = host.add_workload("t0", INSIDE)
    slot = attach(host, peer, "t0")
    for name, address in (("sentinel0", "02:00:00:00:53:00"),
                          ("sentinel1", "02:00:00:00:53:01")):
        host.ip("link", "set", name, "address", address)
        wait_for(lambda: is_closed(peer), "cp is made to say HELLO again")
        peer = host.connect()
        for kind, server in EVERY:
            assert ask(work, server, kind) == answered(slot, server)
    assert peer.dns()["mac_steer"] == bytes.fromhex("020000005301")


def is_holding_a_link(process):
    """A link to an interface lives as long as somebody holds it."""
    for info in Path(f"/proc/{process.pid}/fdinfo").iterdir():
        if "link_type:\ttcx" in info.read_text():
            return True
    return False


def stop_for_a_while(process):
    """Not in the middle of a look, in which it holds what it looks at."""
    while True:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        if not is_holding_a_link(process):
            return
        process.send_signal(signal.SIGCONT)


def test_program_that_is_taken_off_the_pair_is_attached_again(host):
    peer = join(host)
    work = host.add_workload("t0", INSIDE)
    slot = attach(host, peer, "t0")
    pin = host.bpffs / "sentinel/dns/sn_dns_return"
    if pin.exists():
        takes = [("/usr/sbin/bpftool", "link", "detach", "pinned", str(pin)),
                 ("rm", str(pin))]
    else:
        takes = [("tc", "-n", host.name, "qdisc", "delete", "dev", "sentinel0",
                  "clsact")]
    for take in takes:
        assert ask(work, "9.9.9.9") == answered(slot, "9.9.9.9")
        stop_for_a_while(host.process)
        sh(*take)
        # The kernel ends a link whose pin is gone a moment later.
        wait_for(lambda: ask(work, "9.9.9.9", wait=SILENT_S) is None,
                 "not answered")
        host.process.send_signal(signal.SIGCONT)
        wait_for(lambda: ask(work, "9.9.9.9", wait=SILENT_S), "answered again")
    assert not is_closed(peer)


def test_program_that_could_not_be_attached_is_tried_again(place):
    """A directory stands where its link is to be pinned."""
    place.start()
    place.stop()
    pin = place.bpffs / "sentinel/dns/sn_dns_return"
    pin.unlink()
    pin.mkdir()
    place.start()
    peer = place.connect()
    assert peer.dns()["has_tc"] == 0
    pin.rmdir()
    wait_for(lambda: is_closed(peer), "cp is made to say HELLO again")
    peer = join(place)
    assert peer.dns()["has_tc"] == 1
    work = place.add_workload("t0", INSIDE)
    slot = attach(place, peer, "t0")
    assert ask(work, "9.9.9.9") == answered(slot, "9.9.9.9")


def test_without_the_pair_port_53_is_dropped_and_the_rest_is_as_before(
        tmp_path):
    host = Host(tmp_path)
    try:
        host.start()
        peer = host.connect()
        assert peer.dns()["has_tc"] == 0
        assert peer.dns()["port_tc"] == socket.htons(PORT)
        slot = peer.attach(ID, ifindex=host.index())["slot"]
        peer.put("RULES", slot, 1, [dp.rule_key(slot, 1, "10.9.0.1") +
                                    dp.value(dp.item())])
        peer.flip(slot, dp.policy(1, dp.ALLOWLIST, dns=1))
        assert host.send(3) == 3
        assert ask(host.inside, "10.9.0.1", wait=SILENT_S) is None
        reasons, _ = counts(peer, slot)
        assert reasons["DNS_STEER"] == 1
    finally:
        host.end()


def test_hello_tells_where_to_listen_and_keeps_the_mark(plain):
    dns = plain.connect().dns()
    assert dns["has_tc"] == 1 and dns["mark"] == 0 and dns["netns_cookie"]
    assert dns["life"] != 0 and dns["query_ns"] == 10**6
    assert socket.inet_ntoa(dns["range4"]) == "198.18.0.0"
    assert dns["range4_bits"] == 15
    assert dns["port_cgroup"] == socket.htons(PORT + 1)
    assert dns["ifindex_host"] == plain.index("sentinel0")
    assert dns["mac_steer"].hex(":") == plain.mac("sentinel1")


def test_the_pair_itself_cannot_be_attached(plain):
    peer = plain.connect()
    for name in ("sentinel0", "sentinel1"):
        refused("EPERM", peer.attach, ID, ifindex=plain.index(name))
    assert peer.list() == []


@pytest.mark.parametrize("option, value", [
    ("--dns-range4", "198.18.0.0/14"), ("--dns-range4", "198.18.0.1/15"),
    ("--dns-range4", "198.18.0.0/24"), ("--dns-range4", "198.18.0.0"),
    ("--dns-range4", "fd00::/15"), ("--dns-range6", "fd00::/48"),
    ("--dns-range6", "fd00::1/64"), ("--dns-range6", "fd53:6e74:6c64:2::/64"),
    ("--dns-port", "80"), ("--dns-port", "65535"), ("--dns-port", "2x"),
    ("--dns-devices", "one"), ("--dns-devices", "a,"),
    ("--dns-devices", "a,b,c"), ("--dns-devices", "a," + "b" * 16)])
def test_wrong_options_end_the_start(place, option, value):
    done = sh(*place.command(option, value), check=False)
    assert done.returncode == 2
    assert "--dns-" in done.stderr


def test_other_names_and_ranges(place):
    options = ["--dns-devices", "a0,a1", "--dns-range4", "198.19.128.0/20",
               "--dns-range6", "fd77::/64"]
    place.netdev("stop")
    place.netdev("start", *options)
    place.start(*options, "--dns-port", "4053")
    peer = place.connect()
    dns = peer.dns()
    assert dns["has_tc"] and dns["port_tc"] == socket.htons(4053)
    assert dns["ifindex_host"] == place.index("a0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dns_tc_host.OWN", {4: "198.19.128.1", 6: "fd77::1"})
        patch.setattr("dns_tc_host.PORT", 4053)
        descriptors = fds(peer)
        place.resolver = Resolver(place.name, descriptors[3])
    work = place.add_workload("t0", INSIDE)
    slot = attach(place, peer, "t0")
    assert ask(work, "9.9.9.9")[0] == f"198.19.129.{slot}|q"
    assert ask(work, "2620:fe::fe")[0] == f"fd77::{0x100 + slot:x}|q"


def test_netdev_can_be_run_again_and_undone(place):
    def look():
        return [place.ip(*what).stdout for what in (
            ("-o", "address", "show", "dev", "sentinel0"),
            ("-br", "link", "show", "type", "veth"),
            ("-6", "route", "show", "table", "local", "dev", "lo"))]
    before = look()
    assert "198.18.0.1/15" in before[0] and "/64" in before[0]
    assert "fe80" not in before[0] and "NOARP" in before[1]
    assert "local fd53:6e74:6c64:2::/64" in before[2]
    place.netdev("start")
    assert look() == before
    place.netdev("stop")
    place.netdev("stop")
    assert "sentinel" not in place.ip("link").stdout
    assert "fd53" not in place.ip("-6", "route", "show", "table", "all").stdout


def test_netdev_brings_ipv6_where_new_interfaces_have_none(place):
    place.netdev("stop")
    sh("ip", "netns", "exec", place.name, "sh", "-c",
       "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
    place.netdev("start")
    assert "fd53:6e74:6c64:1::1/64" in place.ip(
        "-o", "address", "show", "dev", "sentinel0").stdout


@pytest.mark.parametrize("words", [
    [], ["restart"], ["start", "--dns-devices", "one"], ["start", "--dns-port"],
    ["start", "--dns-range6", "fd00::/48"], ["start", "--wrong", "x"]])
def test_netdev_refuses_what_it_does_not_know(place, words):
    assert place.netdev(*words, check=False).returncode != 0


def test_checksum_of_the_tests_is_that_of_the_rfc():
    """RFC 1071 3."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xffff - 0xddf2
