# SPDX-License-Identifier: Apache-2.0
"""The resolver beside dnsmasq, dnsmasq --nftset and unbound: one zone on one
upstream server, one client, the servers taking turns. Rates are questions per
second of the server's own CPU time, of all its threads and processes, with
those per second that passed beside them."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import world as worlds
from report import Target

sys.path.append(str(Path(__file__).resolve().parents[1] / "e2e" / "dns"))

from lab import netdev  # noqa: E402

UPSTREAM, WINDOW = "10.20.0.62", 64
PORT = 5300  # of the others: port 53 is steered
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
POLICY = """
mode: allowlist
dns:
  mode: {mode}
  domains:
    - {{allow: good.test, subdomains: true}}
cidrs:
  - {{allow: 10.10.9.0/24}}
"""
NFT = """
table inet dns {
	set learnt { type ipv4_addr; size 1000000; }
}
"""


def cpu_seconds(pids):
    """Of all threads and ended children, with what the kernel did for them."""
    total = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, stat[11:15]))
    return total * TICK_S


class Server:
    """A name server on an address of the router."""

    def __init__(self, world, name, address, command):
        self.name, self.address = name, address
        world.network.ip("address", "add", f"{address}/32", "dev", "lo")
        self.log = open(world.folder / f"{name.replace(' ', '-')}.log", "wb")
        self.child = subprocess.Popen(
            [*world.in_cgroup("agents"), *world.network.enter("router"),
             *command], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log)
        self.pids = [self.child.pid]

    def end(self):
        self.child.kill()
        self.child.wait()
        self.log.close()


def start_upstream(world, n_names):
    folder = world.folder / "nsd"
    folder.mkdir()
    with open(folder / "zone", "w", encoding="ascii") as zone:
        zone.write("$ORIGIN good.test.\n$TTL 3600\n"
                   "@ IN SOA ns admin 1 3600 600 86400 30\n@ IN NS ns\n"
                   "ns IN A 20.255.0.1\n")
        for i in range(n_names):
            zone.write(f"b{i} A 20.{i >> 16}.{i >> 8 & 255}.{i & 255}\n")
    (folder / "nsd.conf").write_text(
        f'server:\n  ip-address: {UPSTREAM}\n  username: ""\n  chroot: ""\n'
        f'  zonesdir: "{folder}"\n  database: ""\n  pidfile: "{folder}/pid"\n'
        f'  xfrdfile: "{folder}/xfrd"\n  zonelistfile: "{folder}/list"\n'
        '  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n'
        'zone:\n  name: good.test\n  zonefile: zone\n')
    child = subprocess.Popen(
        [*world.in_cgroup("agents"), *world.network.enter("a"),
         "/usr/sbin/nsd", "-d", "-c", str(folder / "nsd.conf")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    worlds.until(lambda: (folder / "pid").exists() or child.poll(),
                 "nsd starts", limit_s=60)
    return child


def start_servers(world):
    (world.folder / "unbound.conf").write_text(
        f'server:\n  interface: 10.10.9.3@{PORT}\n  username: ""\n  chroot: ""\n'
        '  pidfile: ""\n  do-daemonize: no\n  use-syslog: no\n'
        '  access-control: 0.0.0.0/0 allow\n  num-threads: 1\n'
        '  module-config: "iterator"\n  msg-cache-size: 64m\n'
        '  rrset-cache-size: 128m\n  do-not-query-localhost: no\n'
        '  local-zone: "test." nodefault\n'
        '  outgoing-range: 4096\n  num-queries-per-thread: 2048\n'
        'remote-control:\n  control-enable: no\n'
        f'forward-zone:\n  name: "."\n  forward-addr: {UPSTREAM}\n')
    dnsmasq = ["/usr/sbin/dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts",
               "--conf-file=/dev/null", "--user=root", "--bind-interfaces",
               "--cache-size=10000", "--dns-forward-max=10000", "--pid-file=",
               "--log-facility=-", f"--server={UPSTREAM}", f"--port={PORT}"]
    done = subprocess.run([*world.network.enter("router"), "nft", "-f", "-"],
                          text=True, input=NFT, capture_output=True,
                          check=False)
    if done.returncode:
        raise RuntimeError(f"nft: {done.stderr}")
    return {
        "dnsmasq": Server(world, "dnsmasq", "10.10.9.1", [
            *dnsmasq, "--listen-address=10.10.9.1"]),
        "dnsmasq --nftset": Server(world, "dnsmasq nftset", "10.10.9.2", [
            *dnsmasq, "--listen-address=10.10.9.2",
            "--nftset=/good.test/4#inet#dns#learnt"]),
        "unbound": Server(world, "unbound", "10.10.9.3", [
            "/usr/sbin/unbound", "-d", "-c",
            str(world.folder / "unbound.conf")]),
    }


class Race:
    def __init__(self, world, run_tool):
        self.world, self.run_tool = world, run_tool
        self.servers = start_servers(world)
        self.client = ["nsenter", "--net=" + str(
            worlds.NETNS / world.network.namespace("workload"))]

    def pids(self, variant):
        if variant.startswith("sentinel"):
            return [self.world.cp.pid, self.world.dp.pid]
        return self.servers[variant].pids

    def address(self, variant):
        # Any address does; this one is never reached.
        return ("198.51.100.53" if variant.startswith("sentinel")
                else self.servers[variant].address)

    def port(self, variant):
        return 53 if variant.startswith("sentinel") else PORT

    def ask(self, variant, window, count, first, n_names):
        before = cpu_seconds(self.pids(variant))
        found = self.run_tool("dns", self.address(variant),
                              self.port(variant), window, count,
                              first, n_names, cpu=0, prefix=self.client)[0]
        found["cpu_s"] = cpu_seconds(self.pids(variant)) - before
        if found["again"] > count // 100:
            raise RuntimeError(f"lost: {variant} left {found['again']} of"
                               f" {count} questions")
        return found

    def ready(self):
        def answers(variant):
            try:
                self.run_tool("dns", self.address(variant),
                              self.port(variant), 1, 1, 0, 1,
                              prefix=self.client)
                return True
            except RuntimeError:
                return False

        for variant in (*self.servers, "sentinel"):
            worlds.until(lambda v=variant: answers(v), f"{variant} answers",
                         limit_s=30)

    def end(self):
        for server in self.servers.values():
            server.end()


def add_rates(report, row, found, targets):
    report.add("dns", row, {
        variant: [f["answers"] / max(f["cpu_s"], TICK_S) for f in runs]
        for variant, runs in found.items()}, "answers/CPU s", "dnsmasq",
        targets)
    report.add("dns", f"{row} (time)", {
        variant: [f["answers"] / f["seconds"] for f in runs]
        for variant, runs in found.items()}, "answers/s", "dnsmasq")


def bench_cached(race, report, rounds, count):
    found = {variant: [] for variant in (*race.servers, "sentinel")}
    for variant in found:
        race.ask(variant, WINDOW, 1000, 0, 1000)
    for _ in range(rounds):
        for variant, runs in found.items():
            runs.append(race.ask(variant, WINDOW, count, 0, 1000))
    add_rates(report, "1,000 cached names", found,
              {"sentinel": ("unbound", Target("ratio", 1, least=True))})
    report.add("dns", "1,000 cached names, beside dnsmasq", {
        variant: [f["answers"] / max(f["cpu_s"], TICK_S) for f in found[v]]
        for variant, v in (("dnsmasq", "dnsmasq"), ("sentinel", "sentinel"))},
        "answers/CPU s", "dnsmasq",
        {"sentinel": Target("ratio", 1, least=True)})


def bench_forward(race, report, rounds, count, ident):
    """Every name once, so that each is forwarded."""
    variants = (*race.servers, "sentinel", "sentinel forward")
    found = {variant: [] for variant in variants}
    for i in range(rounds):
        for variant, runs in found.items():
            mode = "disabled" if variant == "sentinel forward" else "allowlist"
            race.world.ok("dns-mode", ident, mode)
            first = 1000 + count * i
            if variant == "sentinel forward":
                first += count * rounds
            runs.append(race.ask(variant, WINDOW, count, first, count))
    add_rates(report, "names asked for the first time", found,
              {"sentinel": ("dnsmasq --nftset",
                            Target("ratio", 1.8, least=True)),
               "sentinel forward": ("unbound",
                                    Target("ratio", 1, least=True))})
    report.add("dns", "forward and learn, beside dnsmasq that only forwards", {
        variant: [f["answers"] / max(f["cpu_s"], TICK_S)
                  for f in found[variant]]
        for variant in ("dnsmasq", "sentinel")}, "answers/CPU s", "dnsmasq",
        {"sentinel": Target("ratio", 1, least=True)})


def bench_latency(race, report, rounds, count, first, ident):
    """One question at a time: what learning adds."""
    learning, plain, bare = [], [], []
    for i in range(rounds):
        race.world.ok("dns-mode", ident, "allowlist")
        learning.append(race.ask("sentinel", 1, count, first + 2 * i * count,
                                 count)["p50_us"])
        race.world.ok("dns-mode", ident, "disabled")
        plain.append(race.ask("sentinel", 1, count,
                              first + (2 * i + 1) * count, count)["p50_us"])
        bare.append(seqpacket_us(2000))
    added = max(20.0, 1.5 * sorted(bare)[len(bare) // 2])
    report.add("dns", "one question in flight, first time, p50", {
        "forward only": plain, "sentinel": learning,
        "bare SEQPACKET round trip": bare}, "us", "forward only",
        {"sentinel": Target("difference", added)})


def seqpacket_us(count):
    """Median round trip of a small record between two processes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        while True:
            data = theirs.recv(512)
            if not data:
                os._exit(0)
            theirs.send(data)
    theirs.close()
    samples = []
    for _ in range(count):
        start = time.perf_counter_ns()
        ours.send(bytes(224))
        ours.recv(512)
        samples.append(time.perf_counter_ns() - start)
    ours.close()
    os.waitpid(child, 0)
    return sorted(samples)[count // 2] / 1e3


def bench_dns(report, world, run_tool, quick):
    rounds, count, cached = (2, 5000, 50000) if quick else (5, 30000, 400000)
    n_latency = 500 if quick else 3000
    n_names = 1000 + count * rounds * 2 + n_latency * rounds * 2
    netdev(world.network)
    world.stop(world.cp)
    world.stop(world.dp)
    world.config.write_text(
        worlds.QUICK + f"dns:\n  upstreams: [{UPSTREAM}]\n  quotas: "
        "{names: 1000000, addresses: 1000000}\n  cache: 256MiB\n")
    world.start_dp()
    world.start_cp()
    upstream = start_upstream(world, n_names)
    race = None
    try:
        ident = world.attach("w0", policy=POLICY.format(mode="allowlist"))
        race = Race(world, run_tool)
        race.ready()
        bench_cached(race, report, rounds, cached)
        bench_forward(race, report, rounds, count, ident)
        bench_latency(race, report, rounds, n_latency,
                      1000 + count * rounds * 2, ident)
    finally:
        if race:
            race.end()
        upstream.kill()
        upstream.wait()
