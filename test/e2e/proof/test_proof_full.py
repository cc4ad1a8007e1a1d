# SPDX-License-Identifier: Apache-2.0
"""Every table is small here and gets full. What does not fit is refused with
RESOURCE_EXHAUSTED, nothing is displaced, and the policy before stays; where
traffic fills a table, no allowed packet is cut."""

import grpc
import pytest

from proof_lab import Matcher, probes
from traffic import A
from world import until

N_RULES, N_PREFIXES, N_SLOTS, N_TRAFFIC = 64, 32, 6, 32
WORLD = {
    "dp_options": ("--rules", N_RULES, "--prefixes", N_PREFIXES, "--slots",
                   N_SLOTS, "--flows", N_TRAFFIC, "--flows-new", N_TRAFFIC,
                   "--fragments", N_TRAFFIC, "--denied", N_TRAFFIC,
                   "--events-bytes", 65536),
    "config": "state:\n  group_interval: 0s\n",
}
FENCE = ("10.40.3.1", 7)
RULES = [f"allow {FENCE[0]}", "allow 10.40.1.0/24", "deny 10.40.1.128/25",
         "allow fd40::/64 7/udp"]
TUPLES = [("10.40.1.1", 7), ("10.40.1.129", 7), ("10.40.2.1", 7),
          ("10.40.5.1", 7), ("fd40::1", 7), ("fd40::1", 8), ("fd40:1::1", 7)]
# Seven lengths of a family: the trie.
NESTED = [f"allow 10.40.5.{n * 4}/{length}" for n, length in
          ((0, 24), (0, 25), (0, 26), (0, 27), (0, 28), (0, 29), (0, 30))]


# Where the slot stands in a key.
SLOT_AT = {"sn_rules": 0, "sn_prefixes": 4}


class Scene:
    """Two attachments, one of which asks for too much."""

    def __init__(self, place):
        self.lab = place.lab
        self.place = place
        self.other = self.lab.place(place.kind, 1)
        for one in (place, self.other):
            one.attach(self.lab.policy(RULES))
        self.matcher = Matcher(RULES, False)
        self.before = self.shown()
        # Rows of what was detached before go a moment later.
        until(lambda: len({key[at:at + 4] for name, at in SLOT_AT.items()
                           for key in self.lab.table(name)}) == 2,
              "only these two have rows")

    def shown(self):
        found = {}
        for one in (self.place, self.other):
            item = one.shown()
            found[one.id] = (item.generation, item.state, sorted(
                (rule.cidr, rule.verdict, rule.id) for rule in
                one.call("GetRules", page_size=10000).rules))
        return found

    def rows(self):
        return {name: sorted(self.lab.table(name))
                for name in SLOT_AT}

    def refused(self, call, *texts):
        rows = self.rows()
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, \
            caught.value
        for text in texts:
            assert text in caught.value.details(), caught.value.details()
        assert self.shown() == self.before
        until(lambda: self.rows() == rows, "what was staged is swept")
        self.judge()

    def judge(self):
        for one in (self.place, self.other):
            probes(one, TUPLES, FENCE, self.matcher.allows)


def test_rules(place):
    scene = Scene(place)
    many = [f"allow 10.40.6.{n}" for n in range(1, N_RULES + 1)]
    scene.refused(lambda: place.apply(scene.lab.policy(RULES + many)))
    # One after the other, until there is no room; then one must go first.
    added = []
    with pytest.raises(grpc.RpcError) as caught:
        for n in range(N_RULES):
            address = f"10.40.7.{n + 1}"
            place.call("AllowCIDR", cidr=address)
            added.append(address)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(added) == N_RULES - 2 * len(RULES)
    scene.before = scene.shown()
    scene.refused(lambda: place.call("AllowCIDR", cidr="10.40.8.1"))
    scene.refused(lambda: scene.other.call("DenyCIDR", cidr="10.40.8.1"))
    scene.matcher = Matcher(RULES, False)
    place.call("RemoveCIDR", cidr=added[0])
    scene.other.call("AllowCIDR", cidr="10.40.8.1")
    probes(scene.other, [("10.40.8.1", 7), (added[0], 7)], FENCE,
           lambda address, port: address == "10.40.8.1")
    probes(place, [(added[1], 7), (added[-1], 7), (added[0], 7),
                   ("10.40.8.1", 7)], FENCE,
           lambda address, port: address in (added[1], added[-1]))


def test_prefixes(place):
    scene = Scene(place)
    many = [f"allow 10.{60 + n}.0.0/16" for n in range(N_PREFIXES)]
    scene.refused(lambda: place.apply(scene.lab.policy(RULES + NESTED + many)))
    # What fits is taken after it.
    place.apply(scene.lab.policy(RULES + NESTED))
    probes(place, TUPLES, FENCE, Matcher(RULES + NESTED, False).allows)
    probes(scene.other, TUPLES, FENCE, scene.matcher.allows)


def test_slots(place):
    scene = Scene(place)
    lab = scene.lab
    more = []
    for n in range(N_SLOTS - 3):
        one = lab.place("cgroup")
        one.target = str(lab.world.cgroup(f"more{n}"))
        one.attach(lab.policy(RULES[:1]))
        more.append(one)
    late = lab.place("cgroup")
    late.target = str(lab.world.cgroup("late"))
    late.cgroup = "late"
    scene.refused(lambda: late.attach(lab.policy(RULES)), "--slots")
    # The one that was refused is not half attached: it is not judged at all.
    probes(late, TUPLES, FENCE, lambda address, port: True)
    for one in more:
        one.detach()
    until(lambda: attaches(late, lab.policy(RULES)), "a slot is free")
    probes(late, TUPLES, FENCE, scene.matcher.allows)


def attaches(place, policy):
    try:
        return place.attach(policy)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        return None


def client_of(place):
    network = place.lab.network
    if place.kind == "tc":
        return network.workload
    if not hasattr(network, "box"):
        network.box = network.agent("router", "box")
    return network.box


def test_flows(place):
    """Twice as many conversations as both tables hold; each goes on."""
    place.attach(place.lab.policy(["allow 10.20.0.0/16"]))
    client = client_of(place)
    names = [f"flow{n}" for n in range(4 * N_TRAFFIC)]
    for n, name in enumerate(names):
        client.open(name=name, protocol=("udp", "tcp")[n % 2],
                    target=f"10.20.8.{n + 1}", port=80)
    for _ in range(2):
        for name in names:
            assert client.exchange(name=name) == "ok", name
    item = place.shown()
    assert item.packets_blocked == 0, item
    assert len(place.lab.table("sn_flows")) <= N_TRAFFIC
    assert len(place.lab.table("sn_flows_new")) <= N_TRAFFIC
    for name in names:
        client.close(name=name)


def test_fragments_and_denied(place):
    """Larger than the table of fragments, in all; and more denied flows than
    are remembered, each of them denied and counted."""
    place.attach(place.lab.policy([f"allow {A[4]}", f"allow {FENCE[0]}"]))
    client = client_of(place)
    sent = client.burst(protocol="udp", target=A[4], port=80,
                        count=4 * N_TRAFFIC, size=3000)
    assert sent["received"] == 4 * N_TRAFFIC
    before = place.reason("no-rule")
    # Not through port 53, which is steered.
    tuples = [(f"10.40.9.{n % 250 + 1}", 1000 + n)
              for n in range(8 * N_TRAFFIC)]
    probes(place, tuples, FENCE, lambda address, port: False)
    assert place.reason("no-rule") == before + len(tuples)
