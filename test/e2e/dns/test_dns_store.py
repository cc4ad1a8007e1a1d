# SPDX-License-Identifier: Apache-2.0
"""The listeners' sockets outlive the daemon in the service manager's descriptor
store: queries that come meanwhile wait in them. The manager here is this test,
by the protocol of sd_notify(3) and sd_listen_fds(3)."""

import array
import os
import socket
import subprocess
import threading

import pytest

import world as worlds
from lab import DnsWorld, Site, until

ALLOW = """
mode: allowlist
dns:
  domains:
    - {allow: good.test, subdomains: true}
"""
# Puts the descriptors where the daemon looks for them, as its own process.
SHIM = """
import fcntl, os, sys
names, wanted = sys.argv[1], sys.argv[2].split(",") if sys.argv[2] else []
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in wanted]
for fd in wanted:
    os.close(int(fd))
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_FDS=str(len(wanted)), LISTEN_FDNAMES=names,
                  LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Manager:
    """Keeps what it is given under its name."""

    def __init__(self, path):
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.kept, self.removed = {}, []

    def listen(self):
        """Takes what has come; never waits."""
        self.sock.setblocking(False)
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 4096, 8)
            except BlockingIOError:
                return self.kept
            lines = dict(line.split("=", 1)
                         for line in data.decode().splitlines())
            if lines.get("FDSTORE") == "1":
                self.kept[lines["FDNAME"]] = fds[0]
            elif lines.get("FDSTOREREMOVE") == "1":
                self.removed.append(lines["FDNAME"])
                fd = self.kept.pop(lines["FDNAME"], None)
                if fd is not None:
                    os.close(fd)

    def end(self):
        for fd in self.kept.values():
            os.close(fd)
        self.sock.close()


class StoreWorld(DnsWorld):
    """Starts sentinel-cp as a service manager would."""

    def spawn(self, name, prefix, arguments):
        if name != "sentinel-cp":
            return super().spawn(name, prefix, arguments)
        if not hasattr(self, "manager"):
            self.manager = Manager(self.folder / "notify")
        kept = self.manager.listen()
        log = open(self.folder / f"{name}.log", "ab")
        with log:
            return subprocess.Popen(
                [*self.in_cgroup("daemons"), *self.network.enter("router"),
                 "setpriv", "--pdeathsig=KILL", *prefix, "/usr/bin/python3",
                 "-c", SHIM, ":".join(kept), ",".join(map(str, kept.values())),
                 str(self.bin / name), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=tuple(kept.values()),
                env={**os.environ, "NOTIFY_SOCKET": self.manager.path})

    def end(self):
        super().end()
        if hasattr(self, "manager"):
            self.manager.end()


@pytest.fixture(scope="module")
def world(host):
    made = StoreWorld()
    yield made
    made.end()


@pytest.fixture(params=["tc", "cgroup"])
def site(request, clean):
    return Site(clean, request.param)


def test_the_listeners_are_handed_over_for_keeping(site):
    site.attach(ALLOW)
    kept = site.world.manager.listen()
    assert {name.rsplit("-", 2)[0] for name in kept} == {
        f"{path}-{protocol}{family}" for path in ("tc", "cgroup")
        for protocol in ("udp", "tcp") for family in (4, 6)}
    for fd in kept.values():
        with socket.socket(fileno=os.dup(fd)) as sock:
            # SO_LOCK_FILTER: nobody takes the filter off any more.
            with pytest.raises(PermissionError):
                sock.setsockopt(socket.SOL_SOCKET, 27, array.array("i", [0]))


def test_queries_wait_while_the_daemon_is_away(site):
    name = f"waits-{site.kind}.good.test"
    site.world.upstream.put(records={name + ".": {"A": [60, "203.0.113.1"]}})
    site.attach(ALLOW)
    site.world.manager.listen()
    assert site.world.stop(site.world.cp) == 0
    answers = []
    asking = threading.Thread(target=lambda: answers.append(
        site.query(name, timeout_s=20)))
    asking.start()

    def is_waiting():
        text = worlds.run(*site.world.network.enter("router"), "cat",
                          "/proc/self/net/udp").stdout
        return any(line.split()[4].split(":")[1] != "00000000"
                   for line in text.splitlines()[1:])

    until(is_waiting, "the query is in the socket")
    site.world.start_cp()
    asking.join(timeout=20)
    assert answers and answers[0].get("rcode") == "NOERROR", answers
    assert site.is_open("203.0.113.1")
    assert site.query(name, protocol="tcp")["rcode"] == "NOERROR"


def test_sockets_for_other_interfaces_are_not_taken_over(site):
    site.attach(ALLOW)
    before = set(site.world.manager.listen())
    site.world.stop(site.world.cp)
    network = site.world.network
    network.ip("link", "delete", "sentinel0")
    worlds.run(*network.enter("router"), "sh",
               str(worlds.ROOT / "packaging/sentinel-netdev"), "start")
    site.world.start_cp()
    until(lambda: set(site.world.manager.listen()) - before,
          "new listeners are kept")
    assert site.world.manager.removed
    site.world.zone(good={"A": [60, "203.0.113.1"]})
    until(lambda: site.query("good.test", timeout_s=1).get("rcode") ==
          "NOERROR", "names resolve over the new pair", limit_s=20)


def test_what_cannot_listen_is_not_kept(site):
    """Descriptors under the names of listeners that are none."""
    site.attach(ALLOW)
    manager = site.world.manager
    names = {name for name in manager.listen() if f"{site.kind}-" in name}
    site.world.stop(site.world.cp)
    manager.removed.clear()
    for name in names:
        os.close(manager.kept[name])
        manager.kept[name] = os.open("/dev/null", os.O_RDWR)
    site.world.start_cp()
    until(lambda: names <= set(manager.listen()) and
          names <= set(manager.removed),
          "they are thrown away, and what is opened in their place is kept",
          limit_s=20)
    site.world.zone(good={"A": [60, "203.0.113.1"]})
    until(lambda: site.query("good.test", timeout_s=1).get("rcode") ==
          "NOERROR", "names resolve", limit_s=20)
