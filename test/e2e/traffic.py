# SPDX-License-Identifier: Apache-2.0
"""What is attached in a test, and the judgement of what its traffic did: by
the client's own eyes, at the far end, and by the counters."""

import collections
import ipaddress
import time

from world import A_METADATA, WORKLOAD, until

PROTOCOLS = {("icmp", False): 1, ("icmp", True): 58}
GRACE_S = 0.12

Try = collections.namedtuple("Try", "protocol address port wanted")

# Addresses of the servers by family, as the policies of the tests need them.
A = {4: "10.20.0.1", 6: "fd20:1::1"}
A_DENIED = {4: "10.20.9.1", 6: "fd20:1:9::1"}
A_CARVED = {4: "10.20.9.9", 6: "fd20:1:9::9"}
B = {4: "10.30.0.1", 6: "fd30:1::1"}
METADATA = dict(zip((4, 6), A_METADATA))
NEAR = dict(zip((4, 6), WORKLOAD))


def number_of(protocol, address):
    if protocol == "icmp":
        return PROTOCOLS["icmp", ":" in address]
    return 6 if protocol == "tcp" else 17


def each(address, wanted, protocols=("tcp", "udp", "icmp"), port=80,
         families=(4, 6)):
    """One try of each protocol in each family; address by family."""
    return [Try(protocol, address[family], 0 if protocol == "icmp" else port,
                wanted) for family in families for protocol in protocols]


def passes(network, client, address, port):
    """Whether a datagram of a new flow comes to server a, however late the
    answer is. Where it may be told from a flow that goes on, by its port: a
    socket gets any source port, also that of one which was answered."""
    network.forget()
    answer = client.probe(probes=[["udp", address, port, False]],
                          grace_s=0.1)[0]
    flow = [17, None, answer["port"], address, port]
    return answer["result"] == "ok" or bool(
        answer["port"] and network.a.seen(flows=[flow])[0]["count"])


class Target:
    """An interface or a cgroup, and a client behind it."""

    def __init__(self, world, kind):
        self.world = world
        self.kind = kind
        self.id = None
        network = world.network
        if kind == "tc":
            self.name = "w0"
            self.client = network.workload
        else:
            self.name = str(world.cgroup("box"))
            if not hasattr(network, "box"):
                network.box = network.agent("router", "box")
            self.client = network.box

    @property
    def refusal(self):
        """How a blocked attempt looks from inside: a packet that TC drops is
        never answered, a cgroup's call is refused at once."""
        return "timeout" if self.kind == "tc" else "EPERM"

    def attach(self, *options, policy=None):
        self.id = self.world.attach(self.name, *options, policy=policy)
        return self.id

    def apply(self, policy):
        return self.world.ok("apply", self.id, self.world.policy_file(policy))

    def show(self):
        return self.world.show(self.id)

    def judge(self, tries, refusal=None, arrives=False):
        """Makes all attempts at once and asserts what became of each.
        arrives: blocked ones reach the far end, only answers are missing."""
        self.world.network.forget()
        answers = self.client.probe(
            probes=[[t.protocol, t.address, t.port, t.wanted] for t in tries],
            grace_s=GRACE_S)
        wrong = []
        for one, answer in zip(tries, answers):
            expected = "ok" if one.wanted else refusal or self.refusal
            if answer["result"] != expected:
                wrong.append(f"{one}: {answer['result']}, not {expected}")
        flows = [[number_of(t.protocol, t.address), None, answer["port"],
                  str(ipaddress.ip_address(t.address)), t.port] for t, answer in zip(tries, answers)]
        seen = zip(self.world.network.a.seen(flows=flows),
                   self.world.network.b.seen(flows=flows))
        for one, answer, (at_a, at_b) in zip(tries, answers, seen):
            arrived = at_a["count"] + at_b["count"]
            # An attempt without a socket was refused before any packet.
            if not answer["port"]:
                continue
            if bool(arrived) != bool(one.wanted or arrives):
                wrong.append(f"{one}: {arrived} packets at the far end")
        assert not wrong, "\n".join(wrong) + f"\n{self.show()}"

    def counted(self):
        """Counters as one dictionary, reasons as reason:NAME."""
        item = self.show()
        values = {key: int(item[key]) for key in (
            "packets_allowed", "packets_blocked", "bytes_allowed",
            "bytes_blocked", "calls_refused")}
        for entry in item["blocked_reasons"]:
            values["reason:" + entry["reason"]] = int(entry["count"])
        return values

    def settle(self):
        """Counters once nothing moves any more: TCP may still send a last
        acknowledgement after a test has seen what it wanted."""
        last = [self.counted(), time.monotonic()]

        def is_still():
            now = self.counted()
            if now != last[0]:
                last[:] = [now, time.monotonic()]
            return time.monotonic() - last[1] > 0.1

        until(is_still, "the counters stand still")
        return last[0]

    def difference(self, before, **expected):
        """Waits until the counters have grown exactly so, all others not at
        all. reason_x stands for the reason x."""
        wanted = {"reason:" + key[7:].replace("_", "-")
                  if key.startswith("reason_") else key: value
                  for key, value in expected.items()}
        state = {}

        def grown():
            now = self.counted()
            state["now"] = {key: now[key] - before.get(key, 0) for key in now
                            if now[key] != before.get(key, 0) and
                            (key in wanted or not key.startswith("bytes_"))}
            return state["now"] == {k: v for k, v in wanted.items() if v}

        try:
            until(grown, "counters")
        except AssertionError:
            assert state["now"] == wanted
            raise


def blocked_reasons(item):
    return {entry["reason"]: int(entry["count"])
            for entry in item["blocked_reasons"]}
