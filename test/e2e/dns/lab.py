# SPDX-License-Identifier: Apache-2.0
"""The world with a resolver in it: an upstream server that tests command, and
clients in a workload and in a cgroup.

    workload (203.0.113.0/24 and kin are behind server b; the upstream server
    is 10.20.0.53 and fd20::53, on server a)
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import world as worlds  # noqa: E402
from world import Agent, until  # noqa: E402

ROOT = HERE.parents[2]
UPSTREAM = ("10.20.0.53", "fd20::53")
# Owned by server b: ordinary addresses, in which nothing is special.
OPEN = {4: "203.0.113.0/24", 6: "2001:db8:b::/48"}
MORE = "198.51.100.0/24"
POOL = "192.0.2.0/24"
ROTATING = "20.99.0.0/16"
ANY_SERVER = {4: "198.51.100.53", 6: "2001:db8:53::53"}

FLOOR_S, GRACE_S = 1, 1


def config(upstreams=UPSTREAM, **options):
    lines = {"ttl_floor": f"{FLOOR_S}s", "grace": f"{GRACE_S}s", **options}
    servers = ", ".join(f'"{server}"' for server in upstreams)
    return worlds.QUICK + "dns:\n" + f"  upstreams: [{servers}]\n" + "".join(
        f"  {key}: {value}\n" for key, value in lines.items())


def netdev(network, action="start"):
    worlds.run(*network.enter("router"), "sh",
               str(ROOT / "packaging/sentinel-netdev"), action)


class DnsWorld(worlds.World):
    def __init__(self, **arguments):
        arguments.setdefault("config", config())
        self.has_netdev = False
        super().__init__(**arguments)
        self.prepare_servers()
        self.clients = {}

    def start_dp(self, *arguments, **options):
        if not self.has_netdev:
            netdev(self.network)
            self.has_netdev = True
        super().start_dp(*arguments, **options)

    def prepare_servers(self):
        network = self.network
        for prefix in (*OPEN.values(), MORE, POOL, ROTATING):
            is_ipv6 = ":" in prefix
            network.ip("route", "add", prefix, "via",
                       "fd54:2::2" if is_ipv6 else "10.254.2.2")
            network.ip(*(("-6",) if is_ipv6 else ()), "route", "add", "local",
                       prefix, "dev", "lo", namespace="b")
        self.upstream = Agent([*self.in_cgroup("agents"),
                               *network.enter("a")], HERE / "upstream.py")
        network.upstream = self.upstream  # ends with the world
        self.upstream.listen(addresses=UPSTREAM)
        network.b.serve(tcp=[853])

    def client(self, namespace, cgroup="agents"):
        key = (namespace, cgroup)
        if key not in self.clients:
            self.clients[key] = Agent(
                [*self.in_cgroup(cgroup), *self.network.enter(namespace)],
                HERE / "client.py")
            setattr(self.network, f"client_{len(self.clients)}",
                    self.clients[key])
        return self.clients[key]

    def zone(self, **records):
        """zone(www={"A": [60, "203.0.113.1"]}) puts www.test."""
        self.upstream.put(records={name.replace("__", ".").replace(
            "any", "*") + ".test.": sets for name, sets in records.items()})


class Site:
    """Something attached, with a DNS client in it."""

    def __init__(self, world, kind):
        self.world, self.kind = world, kind
        if kind == "tc":
            self.target = "w0"
            self.client = world.client("workload")
        else:
            self.target = str(world.cgroup("box"))
            self.client = world.client("router", "box")
        self.id = None

    def attach(self, policy):
        self.id = self.world.attach(self.target, policy=policy)
        return self.id

    def apply(self, policy):
        return self.world.ok("apply", self.id, self.world.policy_file(policy))

    def query(self, name, kind="A", family=4, **options):
        return self.client.query(name=name, kind=kind,
                                 server=ANY_SERVER[family], **options)

    def show(self):
        return self.world.show(self.id)

    def learnt(self):
        return self.world.ok("learnt", self.id)

    def is_open(self, address, port=80):
        """A connection to it; a blocked one is not answered, or refused."""
        result = self.client.touch(address=address, port=port, timeout_s=0.4)
        assert result in ("ok", "timeout", "Operation not permitted"), result
        return result == "ok"


__all__ = ["DnsWorld", "Site", "config", "netdev", "until"]
