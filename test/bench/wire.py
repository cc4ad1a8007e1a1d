# SPDX-License-Identifier: Apache-2.0
"""Packets and calls under Sentinel beside no filter and beside nftables, each
variant in a pair of namespaces of its own, so that nothing is set up between
the rounds."""

import ipaddress
import random
import subprocess

import world as worlds
from report import Target

RULES = 10000
RANGE = ipaddress.ip_network("10.128.0.0/9")  # all local to the receiver
OUTSIDE = "10.127.1.1"  # local too, and in no rule
LENGTHS = (30, 28, 26, 24)
VARIANTS = ("none", "sentinel", "nft hash", "nft interval", "nft ct+hash")
# protocol, flows, bytes of a frame or of one write
UDP = [(flows, size) for size in (64, 1514) for flows in (1, 1000)]
TCP = [(1, 65536), (1000, 16384), (1, 64)]

NFT = """
table inet bench {{
	set hosts {{
		type ipv4_addr
		{flags}
		elements = {{ {elements} }}
	}}
	chain from_workload {{
		type filter hook prerouting priority filter; policy accept;
		iifname != "w0" accept
		{ct}
		ip daddr @hosts accept
		drop
	}}
}}
"""


def make_prefixes(n, seed=1):
    """95 % hosts, the rest of four lengths; hosts first."""
    rng = random.Random(seed)
    found = {}

    def draw(length, count):
        wanted = len(found) + count
        while len(found) < wanted:
            bits = rng.getrandbits(32 - RANGE.prefixlen)
            address = int(RANGE.network_address) + bits
            address &= 0xffffffff << (32 - length) & 0xffffffff
            found[f"{ipaddress.ip_address(address)}/{length}"] = True

    draw(32, n - 4 * (n // 80))
    for length in LENGTHS:
        draw(length, n // 80)
    return list(found)


def hosts_of(prefixes):
    return [prefix[:-3] for prefix in prefixes if prefix.endswith("/32")]


def make_policy(prefixes):
    return "mode: allowlist\ncidrs:\n" + "".join(
        f"  - {{allow: {prefix}}}\n" for prefix in prefixes)


class Pair(worlds.Network):
    """A workload and its router as in World, with no one else: World's own
    workload has a sniffer, which costs more than any filter."""

    def __init__(self, tag):  # pylint: disable=super-init-not-called
        self.tag = tag
        for name in ("router", "workload"):
            self.add_namespace(name)
        self.add_workload("w0")


class DaemonPair(Pair):
    """The same beside the router in which the daemons are."""

    def __init__(self, network):  # pylint: disable=super-init-not-called
        self.tag = network.tag
        self.add_namespace("bench")
        self.link("w1", "bench", ("10.11.0.1", "fd11::1"),
                  ("10.11.0.2", "fd11::2"))

    def namespace(self, name):
        return super().namespace("bench" if name == "workload" else name)


def path_of(network, name):
    return str(worlds.NETNS / network.namespace(name))


def load_nft(network, ruleset):
    done = subprocess.run([*network.enter("router"), "nft", "-f", "-"],
                          text=True, input=ruleset, capture_output=True,
                          timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"nft: {done.stderr[:400]}")


def make_ruleset(variant, prefixes):
    hosts, flags, ct = hosts_of(prefixes), "", ""
    if variant == "nft interval":
        hosts, flags = prefixes, "flags interval; auto-merge"
    if variant == "nft ct+hash":
        ct = "ct state established,related accept"
    return NFT.format(flags=flags, ct=ct, elements=", ".join(hosts))


def make_networks(world, prefixes):
    networks = {"none": Pair(f"{world.tag}-n"), "sentinel": DaemonPair(world.network)}
    for i, variant in enumerate(VARIANTS[2:]):
        networks[variant] = Pair(f"{world.tag}-f{i}")
        load_nft(networks[variant], make_ruleset(variant, prefixes))
    for network in networks.values():
        for prefix in (RANGE, OUTSIDE):
            network.ip("route", "add", "local", prefix, "dev", "lo")
    return networks


def check_filters(networks, run_tool):
    """A filter that lets everything pass would be the fastest."""
    for variant, network in networks.items():
        try:
            run_tool("wire", "udp", path_of(network, "workload"),
                     path_of(network, "router"), 1, 64, 0, text_in=OUTSIDE)
            passed = True
        except RuntimeError as error:
            passed = False
            if "lost: " not in str(error):
                raise
        if passed != (variant == "none"):
            raise RuntimeError(f"wrong: '{variant}' "
                               f"{'passed' if passed else 'dropped'} a packet"
                               " to an address that no rule names")


def race(networks, run_tool, protocol, shape, rounds, ms, flows_in):
    """Two measures: per second that passed, and per second of CPU time, which
    other work on the machine disturbs less."""
    flows, size = shape
    passed = {variant: [] for variant in VARIANTS}
    worked = {variant: [] for variant in VARIANTS}
    for i in range(rounds + 1):
        for variant, network in networks.items():
            try:
                answer = run_tool(
                    "wire", protocol, path_of(network, "workload"),
                    path_of(network, "router"), flows, size, ms,
                    text_in=flows_in)[0]
            except RuntimeError as error:
                raise RuntimeError(f"{protocol}, {flows} flows, {size} B,"
                                   f" {variant}: {error}") from error
            done = (answer["packets"] * 1e9 if protocol == "udp"
                    else answer["bytes"] * 8)
            if i:
                passed[variant].append(done / answer["ns"])
                worked[variant].append(done / answer["cpu_ns"])
    return passed, worked


def bench_wire(report, world, run_tool, quick):
    prefixes = make_prefixes(RULES)
    networks = make_networks(world, prefixes)
    ident = world.attach("w1", policy=make_policy(prefixes))
    flows_in = "\n".join(hosts_of(prefixes)[:1000])
    rounds, ms = (5, 40) if quick else (25, 80)
    check_filters(networks, run_tool)
    before = world.show(ident)["packets_blocked"]
    for shape in UDP:
        passed, worked = race(networks, run_tool, "udp", shape, rounds, ms,
                              flows_in)
        name = f"UDP through a veth, {shape[1]} B, {shape[0]:,} flows"
        report.add("wire", name, worked, "packets/CPU s", "none")
        for other in VARIANTS[2:]:
            report.compare("wire", name, worked, "packets/CPU s", "sentinel",
                           other, Target("ratio", 1.0, least=True))
        report.add("wire", name + " (time)", passed, "packets/s", "none")
    for shape in TCP:
        passed, worked = race(networks, run_tool, "tcp", shape, rounds,
                              ms if shape[0] == 1 else 4 * ms, flows_in)
        name = (f"TCP through a veth, {shape[1]:,} B a write,"
                f" {shape[0]:,} flows")
        targets = {}
        if shape[1] > 64:
            targets = {"sentinel": Target("ratio", 0.95, least=True)}
        report.add("wire", name, worked, "Gbit/CPU s", "none", targets)
        report.add("wire", name + " (time)", passed, "Gbit/s", "none")
    after = world.show(ident)["packets_blocked"]
    if before != after:
        raise RuntimeError(f"wrong: Sentinel blocked"
                           f" {int(after) - int(before)} packets")


def bench_connect(report, world, run_tool, quick):
    prefixes = make_prefixes(RULES)
    network = Pair(f"{world.tag}-n")
    groups = {name: world.cgroup(f"bench-{name}")
              for name in ("none", "empty", "trie", "sentinel")}
    world.attach(str(groups["sentinel"]), policy=make_policy(prefixes))
    tool = ("connect", worlds.BUILD / "test" / "bench" / "bench.bpf.o",
            400 if quick else 2000)
    for n, name in ((RULES, "random destinations"), (1, "one destination")):
        lines = run_tool(
            *tool, n, *(f"{name}={path}" for name, path in groups.items()),
            cpu=1, prefix=network.enter("workload"),
            text_in="\n".join(prefixes))
        found = {line["variant"]: line["samples"] for line in lines}
        row = f"connect() of UDP, {RULES:,} rules, {name}"
        report.add("connect", row, found, "ns", "none",
                   {"sentinel": ("empty", Target("difference", 100))})
        report.compare("connect", row, found, "ns", "sentinel", "trie",
                       Target("ratio", 1.0))
