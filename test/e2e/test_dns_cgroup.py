# SPDX-License-Identifier: Apache-2.0
"""Port 53 of cgroups ends at their own resolver, and at nobody else's."""

import signal
import socket

import pytest

import dp_client as dp
from dns_listener import PORT, Fds, Listener
from dns_workload import Workload
from dp_host import (  # noqa: F401
    ID, attach_directory, bare, host, peer, sh, tree, wait_for)

A, B = 1, 2  # slots
ID_B = ID[::-1]
OWN4, OWN6 = "127.16.0.1", "fd53:6e74:6c64:2::1"
SERVERS = {"ipv4": "203.0.113.53", "ipv6": "2001:db8::53",
           "mapped": "::ffff:203.0.113.53", "loopback": "127.0.0.53",
           "own": "10.9.0.1"}
WAYS = ["tcp", "connected", "sendto"]


def steering(generation, mode=dp.ALLOWLIST, **more):
    return dp.policy(generation, mode, dns=1, **more)


class Scene:
    """A host with a resolver's listeners, two attached cgroups A and B and one
    that is not attached."""

    def __init__(self, host, peer):
        self.host, self.peer = host, peer
        self.closing = []
        host.ip("-6", "route", "add", "local", "fd53:6e74:6c64:2::/64", "dev",
                "lo")
        self.fds = self.closed_later(Fds(peer))
        self.listener = self.closed_later(Listener(host.name,
                                                   self.fds.filter()))
        self.groups = {name: host.cgroup(name) for name in ("a", "b", "free")}
        for name, identity in (("a", ID), ("b", ID_B)):
            self.attach(name, identity)
        self.a, self.b, self.free = (self.workload(name)
                                     for name in ("a", "b", "free"))

    def attach(self, name, identity):
        slot = attach_directory(self.peer, self.groups[name], identity)["slot"]
        row, = [row for row in self.peer.list() if row["slot"] == slot]
        self.peer.flip(slot, steering(row["next_generation"]))
        return slot

    def closed_later(self, thing):
        self.closing.append(thing)
        return thing

    def workload(self, group=None, netns=None, wrap=()):
        return self.closed_later(Workload(netns or self.host.name,
                                          group and self.groups[group], wrap))

    def reason(self, slot, name):
        return self.fds.reason(slot, name)

    def passes(self, text=b"barrier"):
        """A's query is answered: everything sent before has been seen."""
        assert self.a.do(f"ask('192.0.2.1', {text!r})[0]") == text

    def close(self):
        for thing in reversed(self.closing):
            thing.close()


@pytest.fixture
def scene(tree, peer):
    made = Scene(tree, peer)
    yield made
    made.close()


def ask(workload, server, text, way, **more):
    return workload.do(
        f"ask({server!r}, {text!r}, kind={'tcp' if way == 'tcp' else 'udp'!r},"
        f" connected={way == 'connected'}, **{more!r})")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("server", SERVERS)
def test_query_reaches_the_own_resolver_and_seems_to_come_from_the_server(
        scene, server, way):
    asked = (SERVERS[server], 53)
    for slot, workload in ((A, scene.a), (B, scene.b)):
        text = b"query %d" % slot
        answer, connected, source = ask(workload, asked[0], text, way)
        assert answer == text
        assert connected == (None if way == "sendto" else asked)
        assert source == (None if way == "tcp" else asked)
        assert scene.listener.slots(text) == [slot]
        assert scene.reason(slot, "PASS_DNS") >= 2


def test_one_socket_asks_several_servers_by_turns(scene):
    servers = [f"192.0.2.{n}" for n in range(1, 4)]
    scene.a.do("one = make('192.0.2.1')")
    for server in servers:
        scene.a.do(f"one.sendto({server!r}.encode(), ({server!r}, 53))")
    answers = [scene.a.do("one.recvfrom(64)") for _ in servers]
    assert sorted(answers) == [(server.encode(), (server, 53))
                               for server in servers]


def test_one_socket_asks_more_servers_than_there_are_aliases(scene):
    scene.a.do("one = make('::1')")
    for n in range(40):
        server = f"2001:db8::{n + 1:x}" if n % 2 else f"::ffff:192.0.2.{n}"
        scene.a.do(f"one.sendto(b'{n}', ({server!r}, 53))")
        answer, source = scene.a.do("one.recvfrom(64)")
        assert (answer, source[:2]) == (b"%d" % n, (server, 53))


def test_connected_socket_goes_from_server_to_server(scene):
    scene.a.do("one = make('192.0.2.1')")
    for n in range(1, 20):
        scene.a.do(f"one.connect(('192.0.2.{n}', 53))")
        assert scene.a.do("one.getpeername()") == (f"192.0.2.{n}", 53)
        scene.a.do("one.send(b'x')")
        assert scene.a.do("one.recvfrom(9)") == (b"x", (f"192.0.2.{n}", 53))


def test_unspecified_address_is_the_loopback_address(scene):
    assert ask(scene.a, "0.0.0.0", b"q", "connected") == \
        (b"q", ("127.0.0.1", 53), ("127.0.0.1", 53))
    assert ask(scene.a, "::", b"q", "sendto")[2] == ("::1", 53)


@pytest.mark.parametrize("option", ["sendto", "TCP_FASTOPEN_CONNECT"])
def test_fast_open_is_steered(scene, option):
    sh("ip", "netns", "exec", scene.host.name, "sysctl", "-qw",
       "net.ipv4.tcp_fastopen=3")
    for text in (b"cookie", b"fast"):
        scene.a.do("one = make('192.0.2.1', 'tcp')")
        scene.a.do("one.setblocking(True)")
        if option == "sendto":
            scene.a.do(f"one.sendto({text!r}, MSG_FASTOPEN, "
                       "('192.0.2.1', 53))")
        else:
            scene.a.do("one.setsockopt(IPPROTO_TCP, 30, 1)")
            scene.a.do("one.connect(('192.0.2.1', 53))")
            scene.a.do(f"one.send({text!r})")
        assert scene.a.do("one.recv(64)") == text
        assert scene.a.do("one.getpeername()") == ("192.0.2.1", 53)
        assert scene.listener.slots(text) == [A]
    # TCPI_OPT_SYN_DATA: the second query went with the SYN.
    assert scene.a.do("one.getsockopt(IPPROTO_TCP, TCP_INFO, 8)[5] & 32")


def test_socket_with_a_source_address_or_on_loopback_is_steered(scene):
    more = {"source": "10.9.0.1"}
    assert ask(scene.a, "192.0.2.1", b"1", "sendto", **more)[0] == b"1"
    assert ask(scene.a, "192.0.2.1", b"2", "tcp", **more)[0] == b"2"
    assert ask(scene.a, "192.0.2.1", b"3", "tcp", device="lo")[0] == b"3"


@pytest.mark.parametrize("way", WAYS)
def test_socket_bound_to_a_device_is_refused(scene, way):
    before = scene.reason(A, "DNS_STEER")
    assert ask(scene.a, "10.9.0.2", b"q", way, device="h0") == "EPERM"
    assert scene.reason(A, "DNS_STEER") == before + 1
    assert scene.reason(A, "CALL_REFUSED") == before + 1


def answer_dns(query):
    """An A record 192.0.2.77 (RFC 1035 4.1), nothing for other types."""
    end = query.index(b"\0", 12) + 5
    if query[end - 4:end - 2] != b"\0\1":
        return query[:2] + b"\x81\x80\0\1\0\0\0\0\0\0" + query[12:end]
    return (query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] +
            b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x4d")


def test_getaddrinfo_of_the_c_library(scene, tmp_path):
    scene.listener.answer = answer_dns
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: dns\n")
    wrap = ["unshare", "--mount", "sh", "-c",
            f"mount --bind {conf} \"$(readlink -f /etc/resolv.conf)\" && "
            f"mount --bind {tmp_path}/nsswitch.conf /etc/nsswitch.conf && "
            "exec \"$@\"", "sh"]
    workload = scene.workload("a", wrap=wrap)
    found = workload.do("sorted({row[4][0] for row in "
                        "getaddrinfo('www.example.com', 80)})")
    assert found == ["192.0.2.77"]
    assert {slot for _, slot, _ in scene.listener.seen} == {A}


@pytest.mark.parametrize("own", [OWN4, OWN6, "127.17.0.1",
                                 "::ffff:127.16.0.1"])
@pytest.mark.parametrize("who", ["a", "b", "free"])
def test_nobody_reaches_a_resolver_by_its_address(scene, who, own):
    workload = getattr(scene, who)
    for mark in (0, A, B):
        workload.do(f"one = make({own!r}, mark={mark})")
        workload.do(f"two = make({own!r}, mark={mark})")
        workload.do(f"three = make({own!r}, 'tcp', mark={mark})")
        sent = workload.do(f"one.sendto(b'bad', ({own!r}, {PORT}))")
        connected = workload.do(f"two.connect(({own!r}, {PORT}))")
        if who == "free":
            assert (sent, connected) == (3, None)
            assert workload.do("two.send(b'bad')") == 3
            workload.do("three.setblocking(False)")
            assert workload.do(f"three.connect(({own!r}, {PORT}))") == \
                "EINPROGRESS"
        else:
            assert (sent, connected) == ("EPERM", "EPERM")
            assert workload.do(f"three.connect(({own!r}, {PORT}))") == "EPERM"
        scene.passes()
        assert scene.listener.slots(b"bad") == []
        if who == "free":
            # No ICMP error, no SYN-ACK, no RST.
            assert workload.do("two.getsockopt(SOL_SOCKET, SO_ERROR)") == 0
            assert workload.do("three.getsockopt(SOL_SOCKET, SO_ERROR)") == 0
            assert workload.do("select.select([two, three], [three], [], 0)"
                               " == ([], [], [])")
    assert len(scene.listener.accepted) == 0


def test_refused_addresses_are_counted_as_such(scene):
    for n, own in enumerate((OWN4, OWN6, f"::ffff:{OWN4}"), 1):
        assert scene.a.do(f"make({own!r}, 'tcp').connect(({own!r}, {PORT}))"
                          ) == "EPERM"
        assert scene.reason(A, "DNS_ADDRESS") == n
        assert scene.reason(A, "CALL_REFUSED") == n


@pytest.mark.parametrize("who, slot", [("a", A), ("b", B)])
def test_forged_packets_reach_no_resolver(scene, who, slot):
    workload = getattr(scene, who)
    for mark in (0, A, B):
        for source in ("127.0.0.1", "127.16.0.1", "10.9.0.1"):
            for target, port, reason in (
                    ("127.16.0.1", PORT, "DNS_ADDRESS"),
                    ("127.16.0.2", PORT, "DNS_ADDRESS"),
                    ("10.9.0.2", 53, "DNS_STEER"),
                    ("127.0.0.1", 53, "DNS_STEER")):
                if source == "127.16.0.1":
                    reason = "DNS_ADDRESS"
                before = scene.reason(slot, reason)
                assert workload.do(
                    f"send_raw({source!r}, {target!r}, b'bad', (4000, {port}),"
                    f" mark={mark})") == "EPERM"
                assert scene.reason(slot, reason) == before + 1
    scene.passes()
    assert scene.listener.slots(b"bad") == []


def test_root_outside_needs_more_than_the_slot_for_a_mark(scene):
    for mark in (0, A, B):
        assert scene.free.do(f"send_raw('127.0.0.1', '127.16.0.1', b'bad', "
                             f"(4000, {PORT}), mark={mark})")
    scene.passes()
    assert scene.listener.slots(b"bad") == []
    wait_for(lambda: scene.reason(0, "DNS_ADDRESS") >= 3, "they are dropped")


def test_forged_answer_reaches_no_client(scene):
    """From another tenant, and from outside to a socket that never asked."""
    scene.a.do("one = make('192.0.2.1')")
    scene.a.do("one.bind(('127.0.0.1', 4001))")
    for who in (scene.b, scene.free):
        sent = who.do(f"send_raw('127.16.0.1', '127.0.0.1', b'bad', "
                      f"({PORT}, 4001))")
        assert sent == ("EPERM" if who is scene.b else 31)
    scene.passes()
    assert scene.a.do("select.select([one], [], [], 0) == ([], [], [])")
    wait_for(lambda: scene.reason(A, "DNS_ADDRESS") > 0, "it is dropped")
    assert scene.reason(A, "DNS_ADDRESS") == 1
    # IP_PKTINFO chooses a source address without a raw socket.
    scene.b.do("two = make('192.0.2.1')")
    assert scene.b.do(
        "two.sendmsg([b'bad'], [(IPPROTO_IP, 8, struct.pack('=I4s4s', 0, "
        "inet_aton('127.16.0.1'), bytes(4)))], 0, ('127.0.0.1', 4001))") == \
        "EPERM"


@pytest.mark.parametrize("kind", ["udp", "tcp"])
@pytest.mark.parametrize("address, port, result", [
    ("127.16.0.1", 0, "EPERM"), ("127.16.0.2", 53, "EPERM"),
    ("127.31.255.255", 7000, "EPERM"), ("::ffff:127.16.0.1", 0, "EPERM"),
    (OWN6, 0, "EPERM"), ("0.0.0.0", PORT, "EPERM"), ("::", PORT, "EPERM"),
    ("10.9.0.1", PORT, "EPERM"), ("127.0.0.1", PORT - 1, "EPERM"),
    ("127.15.255.255", 7000, None), ("127.32.0.0", 7000, None),
    ("0.0.0.0", PORT + 1, None), ("::", 53, None)])
def test_reserved_addresses_and_ports_cannot_be_taken(
        scene, address, port, result, kind):
    scene.listener.close()
    scene.closing.remove(scene.listener)
    for workload in (scene.a, scene.b):
        workload.do(f"one = make({address!r}, {kind!r})")
        assert workload.do(f"one.bind(({address!r}, {port}))") == result
        workload.do("one.close()")
    assert scene.reason(A, "DNS_ADDRESS") == (result == "EPERM")
    assert scene.reason(A, "CALL_REFUSED") == (result == "EPERM")
    # No interface has the IPv6 ones.
    assert scene.free.do(f"make({address!r}, {kind!r}).bind(({address!r}, "
                         f"{port}))") == \
        ("EADDRNOTAVAIL" if address == OWN6 else None)


@pytest.mark.parametrize("way", WAYS)
def test_socket_of_another_namespace_is_refused(scene, way):
    inside = scene.host.inside
    sh("ip", "-n", inside, "link", "set", "lo", "up")
    workload = scene.workload("a", netns=inside)
    before = scene.reason(A, "CALL_REFUSED")
    for n, server in enumerate(SERVERS.values(), 1):
        assert ask(workload, server, b"q", way) == "EPERM"
        assert scene.reason(A, "DNS_NETNS") == n
        assert scene.reason(A, "CALL_REFUSED") == before + n
    # Nothing there is the listener, whatever its address looks like.
    assert workload.do(f"send_raw('127.0.0.1', '127.16.0.1', b'bad', "
                       f"(4000, {PORT}))") == "EPERM"
    # What it binds is no matter of this namespace's.
    assert workload.do(f"make('0.0.0.0').bind(('0.0.0.0', {PORT}))") is None


def test_socket_connected_before_the_attachment_is_not_let_around(tree, peer):
    group = tree.cgroup("late")
    workload = Workload(tree.name, group)
    assert workload.do("one = make('10.9.0.2')") is None
    assert workload.do("one.connect(('10.9.0.2', 53))") is None
    made = attach_directory(peer, group)
    peer.flip(made["slot"], steering(1))
    fds = Fds(peer)
    assert workload.do("one.send(b'x')") == "EPERM"
    assert fds.reason(made["slot"], "DNS_STEER") == 1
    workload.close()
    fds.close()


def test_process_that_joins_is_steered_with_what_it_opens_from_then_on(scene):
    """A socket stays with the cgroup in which it was made."""
    scene.free.do("before = make('127.0.0.1')")
    scene.free.join(scene.groups["a"])
    assert ask(scene.free, "192.0.2.1", b"after", "sendto")[0] == b"after"
    assert scene.listener.slots(b"after") == [A]
    assert scene.free.do(f"before.sendto(b'bad', ({OWN4!r}, {PORT}))") == 3
    scene.passes()
    assert scene.listener.slots(b"bad") == []


def test_own_name_server_on_loopback_is_reached_only_without_steering(scene):
    scene.a.do("server = make('127.0.0.1')")
    assert scene.a.do("server.bind(('127.0.0.1', 53))") is None
    scene.peer.put("RULES", A, 2, [dp.rule_key(A, 2, "127.0.0.1") +
                                   dp.value(dp.item())])
    for generation, steered in ((2, False), (3, True)):
        scene.peer.flip(A, dp.policy(generation, dp.ALLOWLIST, dns=steered))
        scene.a.do("one = make('127.0.0.1')")
        text = b"steered" if steered else b"direct"
        assert scene.a.do(f"one.sendto({text!r}, ('127.0.0.1', 53))") == \
            len(text)
        if steered:
            scene.passes()
        assert scene.a.do("select.select([server], [], [], 0)[0] == [server]"
                          ) != steered
        if not steered:
            assert scene.a.do("server.recv(64)") == text
        assert scene.listener.slots(text) == ([A] if steered else [])


def test_queries_of_both_at_once_are_never_taken_for_the_others(scene):
    """While their policies change under them."""
    loop = ("[ask(server, b'%s %d' % n, kind, connected)[0] "
            "for n in range(60) for server in ('192.0.2.1', '2001:db8::1', "
            "'::ffff:192.0.2.1') for kind, connected in (('udp', False), "
            "('udp', True), ('tcp', True))]")
    for name in ("a", "b"):
        getattr(scene, name).start(loop.replace("%s", name))
    for generation in range(2, 60):
        scene.peer.flip(A, steering(generation, dp.DENYLIST))
        scene.peer.flip(B, steering(generation, audit=generation & 1))
    for name, slot in (("a", A), ("b", B)):
        answers = getattr(scene, name).result()
        assert len(answers) == 60 * 9
        assert answers[-1] == f"{name} 59".encode()
        assert {found for _, found, text in scene.listener.seen
                if text.startswith(name.encode())} == {slot}


@pytest.mark.parametrize("mode, audit", [
    (dp.DISABLED, 0), (dp.DENYLIST, 0), (dp.ALLOWLIST, 1), (dp.DENYLIST, 1)])
def test_steered_in_every_mode_that_steers(scene, mode, audit):
    scene.peer.flip(A, steering(2, mode, audit=audit))
    assert ask(scene.a, "192.0.2.1", b"q", "sendto")[0] == b"q"
    assert ask(scene.a, "2001:db8::1", b"q", "tcp")[0] == b"q"
    # Audit opens no way around.
    sent = scene.a.do(f"send_raw('127.0.0.1', '127.16.0.2', b'bad', "
                      f"(4000, {PORT}))")
    assert sent == (31 if mode == dp.DISABLED else "EPERM")
    assert scene.a.do("send_raw('10.9.0.1', '10.9.0.2', b'bad', (4000, 53))"
                      ) == "EPERM"
    scene.passes()
    assert scene.listener.slots(b"bad") == []


def test_not_steered_when_the_policy_says_so(scene):
    """Also not the sockets that were steered before."""
    scene.a.do("one = make('192.0.2.1'); one.connect(('192.0.2.1', 53))")
    scene.a.do("one.send(b'before')")
    assert scene.a.do("one.recv(64)") == b"before"
    scene.peer.flip(A, dp.policy(2, dp.ALLOWLIST))
    assert scene.a.do("one.send(b'after')") == "EPERM"
    assert ask(scene.a, "192.0.2.1", b"after", "connected") == "EPERM"
    scene.peer.flip(A, dp.policy(3, dp.DISABLED))
    assert scene.a.do("one.send(b'after')") == 5
    assert scene.a.do(f"make('127.0.0.1', mark={B}).sendto(b'after', "
                      f"('127.16.0.2', {PORT}))") == 5
    scene.peer.flip(A, dp.policy(4, dp.BLOCK_ALL))
    assert scene.a.do("one.send(b'after')") == "EPERM"
    scene.peer.flip(A, steering(5))
    scene.passes()
    assert scene.listener.slots(b"after") == []


def test_other_ports_are_judged_as_before(scene):
    assert ask(scene.a, "10.9.0.2", b"q", "tcp", port=54) == "EPERM"
    assert ask(scene.a, "127.0.0.1", b"q", "connected", port=5353) == "EPERM"


def test_connection_that_its_client_ends_first_is_acknowledged(scene):
    """By the kernel alone: its segment passed no hook and has no mark."""
    fin_wait2, closed = 5, 7
    scene.listener.ends = False
    scene.a.do("one = make('192.0.2.1', 'tcp')")
    scene.a.do("one.connect(('192.0.2.1', 53))")
    scene.a.do("one.send(b'q')")
    assert scene.a.do("one.recv(9)") == b"q"
    scene.a.do("one.close()")
    wait_for(lambda: scene.a.do(f"has_connection({PORT}, {fin_wait2})"),
             "the client's socket is gone")
    made, = scene.listener.accepted
    made.shutdown(socket.SHUT_WR)
    wait_for(lambda: made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO,
                                     1)[0] == closed, "acknowledged")


def test_listener_resets_no_segment_of_others(scene):
    """Not even those that would pass to an established connection."""
    before = scene.free.do("count_resets()")
    for flags in (0x02, 0x10, 0x11, 0x14, 0x18, 0x12):
        assert scene.free.do(f"send_segment('127.0.0.1', {OWN4!r}, {flags}, "
                             f"(4000, {PORT}))") == 40
    scene.passes()
    assert scene.free.do("count_resets()") == before
    # Elsewhere they are.
    assert scene.free.do("send_segment('127.0.0.1', '127.0.0.1', 16, "
                         "(4000, 4001))") == 40
    wait_for(lambda: scene.free.do("count_resets()") > before, "it is reset")
    assert scene.free.do("count_resets()") == before + 1


def test_detached_socket_reaches_nobody_and_is_steered_anew_later(scene):
    scene.a.do("one = make('192.0.2.1'); one.connect(('192.0.2.1', 53))")
    scene.a.do("one.send(b'one')")
    assert scene.a.do("one.recv(9)") == b"one"
    scene.peer.detach(ID, A)
    assert scene.a.do("one.send(b'left')") == 4
    assert scene.a.do("one.getpeername()") == (OWN4, PORT)
    # Until another cgroup has its slot.
    scene.peer.detach(ID_B, B)
    for _ in range(16):
        slot = scene.attach("b", ID_B)
        if slot == A:
            break
        scene.peer.detach(ID_B, slot)
        wait_for(lambda: not scene.peer.stats()["dirty"], "swept")
    assert slot == A
    assert scene.a.do("one.send(b'left')") == 4
    slot = scene.attach("a", ID)
    assert slot != A
    assert scene.a.do("one.send(b'left')") == "EPERM"
    assert scene.a.do("one.getpeername()") == (OWN4, PORT)
    assert scene.a.do("one.connect(('192.0.2.9', 53))") is None
    scene.a.do("one.send(b'anew')")
    assert scene.a.do("one.recvfrom(9)") == (b"anew", ("192.0.2.9", 53))
    assert scene.listener.slots(b"anew") == [slot]
    assert scene.listener.slots(b"left") == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_resolution_goes_on_without_and_after_a_restart_of_the_daemon(
        scene, how):
    scene.a.do("one = make('192.0.2.1', 'tcp')")
    scene.a.do("one.connect(('192.0.2.1', 53))")
    scene.host.stop(how)
    for name in ("without", "after"):
        text = name.encode()
        scene.a.do(f"one.send({text!r} + b' tcp')")
        assert scene.a.do("one.recv(64)") == text + b" tcp"
        assert ask(scene.a, "192.0.2.2", text, "sendto") == \
            (text, None, ("192.0.2.2", 53))
        assert ask(scene.b, "::ffff:192.0.2.3", text + b"b", "tcp")[1] == \
            ("::ffff:192.0.2.3", 53)
        assert scene.listener.slots(text) == [A]
        assert scene.listener.slots(text + b"b") == [B]
        if name == "without":
            scene.host.start()
            scene.peer = scene.host.connect()
    assert scene.a.do("one.getpeername()") == ("192.0.2.1", 53)
    assert scene.b.do(f"one = make({OWN4!r}).sendto(b'bad', ({OWN4!r}, "
                      f"{PORT}))") in (None, "EPERM")
    assert len(scene.peer.list()) == 2


def test_attached_without_a_policy_asks_nobody(tree, peer):
    group = tree.cgroup("new")
    attach_directory(peer, group)
    workload = Workload(tree.name, group)
    for way in WAYS:
        assert ask(workload, "192.0.2.1", b"q", way) == "EPERM"
    workload.close()


def test_listener_gets_nothing_from_the_wire(scene):
    inside = scene.workload(netns=scene.host.inside)
    inside.do("one = make('10.9.0.1')")
    inside.do(f"one.sendto(b'bad', ('10.9.0.1', {PORT}))")
    scene.passes()
    assert scene.listener.slots(b"bad") == []
