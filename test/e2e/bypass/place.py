# SPDX-License-Identifier: Apache-2.0
"""Where the attempts are made: a workload behind each kind of attachment, a
way to send from it, and the far ends that keep what arrives.

    bridge    guest ── g0 bridge f0 ── far     TC, the veth is a bridge port
    routed    workload ── w0 router a0, b0     TC, the veth is routed
    cgroup    box (in the router)   a0, b0     cgroup hooks
    tun       holder of t0 (router) a0, b0     TC without Ethernet headers
    macvlan   nest: eth0 over p0 ── far        TC, role host on the parent

A bridge changes nothing in a frame and refuses nothing, so that what passes
the hook there arrives as it was sent; a router drops some of it by itself.
Far ends take every address and have listeners on the ports of the attempts.
"""

import ipaddress
import itertools
import json
import socket
from pathlib import Path

from scapy.all import IP, TCP, Ether

import world as worlds
from traffic import A

HERE = Path(__file__).resolve().parent
PORT = 443
POLICY = f"""
cidrs:
  - {{allow: {A[4]}, ports: [{PORT}/tcp]}}
  - {{allow: "{A[6]}", ports: [{PORT}/tcp]}}
"""
OPEN = """
cidrs:
  - allow: 0.0.0.0/0
  - allow: "::/0"
"""
FENCES = range(61000, 65000)
NOBODY = [ipaddress.ip_address(address).packed for address in (
    "10.99.9.9", "10.11.11.11", "fd99::9")]  # rows have them as their source
TCP_PORTS, UDP_PORTS = (22, 80, 443, 8080), (80, 443, 4789, 5300, 6081)
BRIDGE4, BRIDGE6 = "10.40.0", "fd40:"
NEST4, NEST6 = "10.60.0", "fd60:"
TUN4, TUN6 = "10.50.0", "fd50:"


def ethertype(packet):
    return 0x86dd if packet[:1] >= b"\x60" else 0x0800


class Agent(worlds.Agent):
    """sender.py instead of agent.py."""

    def __init__(self, command):
        super().__init__(command, HERE / "sender.py")


class Ground:
    """What the places share: far ends, further links, the C helper."""

    def __init__(self, world):
        self.world = world
        self.network = world.network
        self.agents = []
        self.fences = itertools.cycle(FENCES)
        self.folder = world.folder
        network = self.network
        # Whatever has no route of its own goes to a, where it is seen.
        network.batch("route add default via 10.254.1.2\n"
                      "route add default via fd54:1::2\n")
        for name in ("router", "workload"):
            self.write_senders(name)
        self.a = self.recorder("a", "eth0")
        self.b = self.recorder("b", "eth0")
        self.helper = self.compile()

    def write_senders(self, namespace):
        self.network.write(namespace, ipv4__ping_group_range="0 2147483647",
                           ipv4__tcp_fastopen=5)

    def agent(self, namespace, cgroup="agents"):
        made = Agent([*self.network.spawn_prefix(cgroup),
                      *self.network.enter(namespace)])
        self.agents.append(made)
        return made

    def recorder(self, namespace, interface):
        made = self.agent(namespace)
        made.record(interface=interface)
        return made

    def compile(self):
        program = self.folder / "calls"
        worlds.run("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall",
                   "-Werror", "-o", program, HERE.parent / "tools/calls.c")
        program.chmod(0o755)
        return str(program)

    def hardware(self, namespace, interface):
        shown = self.network.ip("-j", "link", "show", interface,
                                namespace=namespace).stdout
        return json.loads(shown)[0]["address"]

    def neighbours(self, namespace, interface, hardware, *addresses):
        self.network.batch("".join(
            f"neigh replace {address} lladdr {hardware} nud permanent "
            f"dev {interface}\n" for address in addresses), namespace)

    def add_far(self):
        """A host that takes every address; eth0 for the bridge, eth1 below
        the nest. Made once, by whoever needs it first."""
        network = self.network
        network.add_namespace("far")
        network.batch(
            "link add eth0 type veth peer name f0 netns "
            f"{network.namespace('router')}\n"
            "link add eth1 type veth peer name p0 netns "
            f"{network.namespace('router')}\n"
            f"address add {BRIDGE4}.1/24 dev eth0\n"
            f"address add {BRIDGE6}:1/64 dev eth0 nodad\n"
            f"address add {NEST4}.1/24 dev eth1\n"
            f"address add {NEST6}:1/64 dev eth1 nodad\n"
            "link set eth0 up\nlink set eth1 up\n"
            "route add local 0.0.0.0/0 dev lo table main\n"
            "route add local ::/0 dev lo table main\n", "far")
        self.add_bridge()
        self.add_nest()
        self.far = self.recorder("far", "eth0")
        self.far.record(interface="eth1")
        self.far.serve(tcp=TCP_PORTS, udp=UDP_PORTS)

    def add_bridge(self):
        network = self.network
        network.add_namespace("guest")
        self.write_senders("guest")
        network.batch(
            "link add br0 type bridge mcast_snooping 0 forward_delay 0\n"
            "link add g0 type veth peer name eth0 netns "
            f"{network.namespace('guest')}\n"
            "link set g0 master br0\nlink set f0 master br0\n")
        network.write("router", ipv6__conf__br0__disable_ipv6=1,
                      ipv6__conf__g0__disable_ipv6=1,
                      ipv6__conf__f0__disable_ipv6=1)
        # Else the bridge itself would refuse malformed IP.
        worlds.run(*network.enter("router"), "sh", "-c",
                   "for knob in /proc/sys/net/bridge/bridge-nf-call-*; do "
                   'test ! -e "$knob" || echo 0 >"$knob"; done')
        network.batch("link set g0 up\nlink set f0 up\nlink set br0 up\n")
        self.join("guest", "eth0", BRIDGE4, BRIDGE6)

    def add_nest(self):
        network = self.network
        network.add_namespace("nest")
        self.write_senders("nest")
        network.write("router", ipv6__conf__p0__disable_ipv6=1)
        network.batch("link set p0 up\n"
                      "link add link p0 name n0 type macvlan mode private\n"
                      f"link set n0 netns {network.namespace('nest')} "
                      "name eth0\n")
        self.join("nest", "eth1", NEST4, NEST6)

    def join(self, namespace, far_interface, net4, net6):
        """Addresses and neighbours of a namespace on a link with far."""
        self.network.batch(
            f"address add {net4}.2/24 dev eth0\n"
            f"address add {net6}:2/64 dev eth0 nodad\n"
            "link set eth0 up\n"
            f"route add default via {net4}.1\n"
            f"route add default via {net6}:1\n", namespace)
        self.neighbours(namespace, "eth0",
                        self.hardware("far", far_interface),
                        f"{net4}.1", f"{net6}:1")
        self.neighbours("far", far_interface,
                        self.hardware(namespace, "eth0"),
                        f"{net4}.2", f"{net6}:2")

    def end(self):
        for agent in self.agents:
            agent.end()


class Place:
    """name: of the kind; target, options: for attach; send_ip(): puts packets
    with their own network headers on the way."""

    name = ""
    device = "eth0"
    options = ()
    far = ()

    def __init__(self, ground):
        self.ground = ground
        self.world = ground.world
        self.state = None
        self.fence_port = 0
        self.last = None
        self.prepare()
        self.id = self.world.attach(self.target, *self.options, policy=POLICY)
        self.notes = self.world.show(self.id)["notes"]

    def prepare(self):
        raise NotImplementedError

    def send_ip(self, packets):
        """Ethernet frames to the first hop, but where there is no Ethernet."""
        return self.send_frames([
            bytes(Ether(src=self.mac, dst=self.mac_far, type=ethertype(data)))
            + data for data in map(bytes, packets)])

    def send_frames(self, frames, **how):
        return self.sender.send_frames(
            interface=self.device, frames=[bytes(f).hex() for f in frames],
            **how)

    def set(self, state):
        """closed: one port of one host; open: 0.0.0.0/0 and ::/0; disabled:
        nothing is judged."""
        if state == self.state:
            return
        if state == "disabled":
            self.world.ok("mode", self.id, "disabled")
        else:
            self.world.ok("apply", self.id, self.world.policy_file(
                OPEN if state == "open" else POLICY))
        self.state = state
        self.last = None

    def fence(self):
        """Sends the one thing that is allowed, and answers what came to the
        far ends before it."""
        self.fence_port = next(self.ground.fences)
        self.send_ip([IP(src=self.me4, dst=A[4]) /
                      TCP(sport=self.fence_port, dport=PORT, flags="S")])
        frames = []
        for number, (agent, interface) in enumerate(self.far):
            # The fence goes to the first; by then the others have theirs.
            got = agent.recorded(interface=interface, fence=self.fence_port
                                 if number == 0 else None)
            assert got["fenced"], \
                f"{self.name}: the allowed port cannot be reached"
            frames += got["frames"]
        return [frame for frame in frames if not self.is_fence(frame) and
                not self.is_answer(frame)]

    @staticmethod
    def is_fence(frame):
        """Also the workload's kernel ends what a fence has begun."""
        head = bytes.fromhex(frame["head"])
        return head[12:15] == b"\x08\x00\x45" and head[23:24] == b"\x06" and \
            head[30:34] == socket.inet_aton(A[4]) and \
            int.from_bytes(head[34:36], "big") in FENCES and \
            int.from_bytes(head[36:38], "big") == PORT and \
            frame["bytes"] <= 74 and not frame["marked"]

    @staticmethod
    def is_answer(frame):
        """A far end's to a sender that does not exist: it goes round by the
        router's default route, and for some seconds is made again."""
        head = bytes.fromhex(frame["head"])
        target = {b"\x08\x00": head[30:34], b"\x86\xdd": head[38:54]}
        return target.get(head[12:14]) in NOBODY and not frame["marked"]

    def count(self):
        """Blocked packets, in all and by reason, as sentinelctl shows them."""
        item = self.world.show(self.id)
        self.last = {entry["reason"]: int(entry["count"])
                     for entry in item["blocked_reasons"]}
        self.last["blocked"] = int(item["packets_blocked"])
        return self.last

    def counted(self):
        """The same as of the last attempt, if nothing was tried since."""
        return self.last or self.count()


class Bridge(Place):
    name = "bridge"
    target = "g0"
    me4, me6 = f"{BRIDGE4}.2", f"{BRIDGE6}:2"

    def prepare(self):
        ground = self.ground
        self.sender = ground.agent("guest")
        self.mac = ground.hardware("guest", "eth0")
        self.mac_far = ground.hardware("far", "eth0")
        self.far = [(ground.far, "eth0")]


class Routed(Place):
    name = "routed"
    target = "w0"
    me4, me6 = worlds.WORKLOAD

    def prepare(self):
        ground = self.ground
        self.sender = ground.agent("workload")
        self.mac = ground.hardware("workload", "eth0")
        self.mac_far = ground.hardware("router", "w0")
        self.far = [(ground.a, "eth0"), (ground.b, "eth0")]


class Cgroup(Place):
    name = "cgroup"
    device = "a0"
    me4, me6 = "10.254.1.1", "fd54:1::1"

    def prepare(self):
        ground = self.ground
        self.target = str(self.world.cgroup("box"))
        self.sender = ground.agent("router", "box")
        self.mac = ground.hardware("router", "a0")
        self.mac_far = ground.hardware("a", "eth0")
        self.far = [(ground.a, "eth0"), (ground.b, "eth0")]

    def send_ip(self, packets):
        return self.sender.send_packets(
            device=self.device, packets=[bytes(p).hex() for p in packets])


class Tun(Place):
    name = "tun"
    target = device = "t0"
    me4, me6 = f"{TUN4}.2", f"{TUN6}:2"
    how = {}

    def prepare(self):
        ground = self.ground
        self.sender = ground.agent("router")
        self.sender.open_tun(name=self.target, **self.how)
        ground.network.batch(
            f"address add {self.me4[:-1]}1/24 dev {self.target}\n"
            f"address add {self.me6[:-1]}1/64 dev {self.target} nodad\n"
            f"link set {self.target} up\n")
        self.far = [(ground.a, "eth0"), (ground.b, "eth0")]

    def end(self):
        """The device goes with its holder."""
        self.world.ok("detach", self.id)
        self.sender.end()

    def send_ip(self, packets):
        return self.sender.write_tun(
            name=self.target, packets=[bytes(p).hex() for p in packets])


class Macvlan(Place):
    name = "macvlan"
    target = "p0"
    options = ("--role", "host")
    me4, me6 = f"{NEST4}.2", f"{NEST6}:2"

    def prepare(self):
        ground = self.ground
        self.sender = ground.agent("nest")
        self.mac = ground.hardware("nest", "eth0")
        self.mac_far = ground.hardware("far", "eth1")
        self.far = [(ground.far, "eth1")]


KINDS = {kind.name: kind for kind in (Bridge, Routed, Cgroup, Tun, Macvlan)}
