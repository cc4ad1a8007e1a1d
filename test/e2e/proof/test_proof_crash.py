# SPDX-License-Identifier: Apache-2.0
"""Daemons die at random moments, with attachments and policies on the move and
traffic running: no denied packet is delivered, none that is allowed is lost,
and what is enforced afterwards is what is shown."""

import ipaddress
import threading
import time

import grpc

from proof_lab import (A_RULES, B_RULES, FLOWS, Matcher, Timeline, probes, say,
                       seed, size)
from world import until

WORLD = {"config": "state:\n  group_interval: 0s\n"}
KILLS = size(9, 450)
PROBES = size(200, 10000)
FENCE = ("10.40.3.1", 7)
# A kill falls somewhere into a change, or right behind it.
DELAY_S = 0.012


class Churn:
    """Changes that may be cut short. A change that failed may have happened:
    its state is possible until the next one that is known to be made."""

    def __init__(self, place, random):
        self.place = place
        self.random = random
        self.lab = place.lab
        self.other = self.lab.place(place.kind, 1)
        self.timeline = Timeline("A")
        self.state = "A"
        self.doubts = []
        self.done = {"ok": 0, "cut": 0}
        self.policies = {"A": self.lab.policy(A_RULES),
                         "B": self.lab.policy(B_RULES, "DENYLIST")}

    def replace(self):
        new = "AB"[self.state == "A"]
        begin = time.time_ns()
        self.doubts.append((new, begin))
        self.place.apply(self.policies[new])
        end = time.time_ns()
        # Whatever failed before this one is out of the question from now on.
        for state, begin in self.doubts:
            self.timeline.add(state, begin, end)
        self.doubts = []
        self.state = new

    def attach(self):
        self.other.attach(self.policies["A"])

    def detach(self):
        listed = self.lab.api.call("List").attachments
        for item in listed:
            if item.id != self.place.id:
                self.lab.api.call("Detach", id=item.id)

    def single(self):
        address = f"10.43.0.{self.random.randrange(1, 250)}"
        self.place.call("AllowCIDR", cidr=address, ttl_seconds=60)
        self.place.call("RemoveCIDR", cidr=address)

    def run_one(self, change):
        try:
            change()
            self.done["ok"] += 1
        except grpc.RpcError as error:
            # Cut short, or refused because an earlier one was.
            assert error.code() in (
                grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ALREADY_EXISTS,
                grpc.StatusCode.NOT_FOUND, grpc.StatusCode.CANCELLED), error
            self.done["cut"] += 1

    def kill_under(self, change, dead):
        failed = []

        def work():
            try:
                self.run_one(change)
            except BaseException as error:  # Told to the test.
                failed.append(error)

        thread = threading.Thread(target=work)
        delay = self.random.random() * DELAY_S
        thread.start()
        thread.join(delay)
        for name in dead:
            getattr(self.lab.world, "kill_" + name)()
        thread.join(60)
        assert not thread.is_alive() and not failed, failed
        self.lab.world.ensure_daemons()
        self.lab.reconnect()


def test_kills_under_change_and_traffic(place):
    random = seed()
    churn = Churn(place, random)
    place.attach(churn.policies["A"])
    stream = place.stream(FLOWS, pause_us=size(1000, 2000))
    changes = [churn.replace, churn.attach, churn.detach, churn.single]
    order = [dead for dead in (("dp",), ("cp",), ("dp", "cp"))
             for _ in range(KILLS // 3)]
    random.shuffle(order)
    for number, dead in enumerate(order):
        stream.flowing(20)
        churn.kill_under(changes[number % 4] if number % 2
                         else churn.replace, dead)
    churn.replace()
    stream.flowing(len(FLOWS) * 20)
    decided = stream.judge(churn.timeline)
    assert decided[True] > 1000 and decided[False] > 1000
    # The state shown is the state enforced, and nothing is in the way.
    churn.detach()
    churn.attach()
    listed = {item["id"] for item in place.lab.world.ok("list")}
    assert listed == {place.id, churn.other.id}
    assert place.lab.world.ctl("status").code == 0
    say(f"{place.kind}: {KILLS} kills, {churn.done} changes, {decided}")


def random_policy(random, n=120):
    """Nested prefixes of both families with and without ports."""
    rules = [f"allow {FENCE[0]}"]
    seen = set()
    while len(rules) < n:
        if random.random() < 0.6:
            base, bits, low = 0x0a280000, 32, 18
        else:
            base, bits, low = 0xfd40 << 112, 128, 50
        length = random.choice([bits, bits, bits, random.randrange(low, bits)])
        address = base | random.getrandbits(9) << (bits - low - 8) | \
            random.getrandbits(3)
        kind = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
        network = ipaddress.ip_network((kind(address), length), strict=False)
        port = random.choice(["", " 1-999/udp", " 5300/udp", " 80-90/tcp"])
        if (network, port) in seen or FENCE[0] in str(network):
            continue
        seen.add((network, port))
        rules.append(f"{random.choice(['allow', 'deny'])} {network}{port}")
    return rules


def random_tuples(random, rules, n):
    """Addresses in and beside the prefixes of the rules."""
    networks = [ipaddress.ip_network(rule.split()[1]) for rule in rules[1:]]
    found = []
    while len(found) < n:
        network = random.choice(networks)
        room = network.max_prefixlen - network.prefixlen
        number = int(network.network_address) | random.getrandbits(room + 1)
        address = type(network.network_address)(
            number % (1 << network.max_prefixlen))
        if str(address).startswith(("10.40.", "fd40:")):
            found.append((str(address),
                          random.choice([1, 85, 999, 5300, 1000, 40000])))
    return found


def kernel_rows(lab):
    return {name: sorted(lab.table(name)) for name in
            ("sn_rules", "sn_prefixes")}


def test_same_verdicts_after_kills(place):
    """Probes of a random policy, before, with nobody alive, and after."""
    lab = place.lab
    random = seed(1)
    for mode in ("ALLOWLIST", "DENYLIST"):
        rules = random_policy(random)
        matcher = Matcher(rules, mode == "DENYLIST")
        policy = lab.policy(rules, mode)
        if place.id:
            place.apply(policy)
        else:
            place.attach(policy)
        tuples = random_tuples(random, rules, PROBES // 2)
        wanted = [matcher.allows(*one) for one in tuples]
        assert any(wanted) and not all(wanted)
        probes(place, tuples, FENCE, matcher.allows)
        generation = place.shown().generation

        def is_swept():
            return all(int.from_bytes(key[at:at + 4], "little") == generation
                       for table, at in (("sn_rules", 4), ("sn_prefixes", 8))
                       for key in lab.table(table))

        until(is_swept, "the generation before is swept")
        shown = lab.world.ok("rules", place.id)
        rows = kernel_rows(lab)
        for dead in (("dp",), ("cp",), ("cp", "dp")):
            for name in dead:
                getattr(lab.world, "kill_" + name)()
            if len(dead) == 2:
                probes(place, tuples, FENCE, matcher.allows)
            lab.world.ensure_daemons()
            lab.reconnect()
        assert lab.world.ok("rules", place.id) == shown
        assert kernel_rows(lab) == rows
        probes(place, tuples, FENCE, matcher.allows)
