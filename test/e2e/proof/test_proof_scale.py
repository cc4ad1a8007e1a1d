# SPDX-License-Identifier: Apache-2.0
"""Many attachments and many rules: each judges by its own, to the last."""

import time

from prometheus import Page
from proof_lab import FRESH, Flow, Timeline, probes, say, seed, size
from test_metrics import agent_in
from world import until

WORLD = {"config": "state:\n  group_interval: 0s\n"
                   "limits:\n  rules_per_policy: 4000000\n",
         "dp_options": ("--rules", size(1 << 18, 1 << 21))}
CGROUPS, VETHS = size(500, 10000), size(20, 10000)
GROUP = 250  # interfaces that one call removes, while nobody else changes any
IN_FLIGHT = 8
RULES, CHUNK = size(100000, 1000000), 20000
FENCE = ("10.40.3.1", 7)
# A million rules take the daemon seconds.
LIMIT_S = size(60, 300)
SCRAPE_S = 0.2


def own_policy(lab, number):
    """Each attachment opens the fence and one address of its own."""
    return lab.policy([f"allow {FENCE[0]}", f"allow {own_address(number)}"])


def own_address(number):
    return f"10.40.{128 + number // 250}.{number % 250 + 1}"


def sample(random, places):
    return random.sample(places, min(size(5, 50), len(places)))


def judge_own(place, number, count):
    """Its own address and those of two others."""
    tuples = [(own_address(n % count), 7)
              for n in (number, number + 1, number + count // 2)]
    probes(place, tuples, FENCE,
           lambda address, port: address == own_address(number))


def attach_all(lab, places):
    began = time.monotonic()
    for number, place in enumerate(places):
        place.attach(own_policy(lab, number))
    return (time.monotonic() - began) / len(places)


def listed(lab):
    token, ids = "", []
    while True:
        page = lab.api.call("List", page_size=1000, page_token=token)
        ids += [item.id for item in page.attachments]
        token = page.next_page_token
        if not token:
            return ids


def scrape_many(lab, places):
    """Every attachment has its series, in time; the best of some, because others
    use this machine too."""
    web = agent_in(lab.world)
    took_s = []
    for _ in range(5):
        answer = web.get(port=9102)
        took_s.append(answer["took_s"])
    page = Page(answer["body"])
    for place in places:
        assert page.get("sentinel_attachment_packets_total", id=place.id,
                        direction="egress", verdict="allowed") is not None
    say(f"{len(places)} attachments: a scrape of {len(answer['body']) >> 10} "
        f"KiB in {min(took_s) * 1000:.0f} to {max(took_s) * 1000:.0f} ms")
    assert min(took_s) < SCRAPE_S


def judge_many(lab, places, what):
    before = lab.table("sn_rules")
    each_s = attach_all(lab, places)
    assert sorted(listed(lab)) == sorted(place.id for place in places)
    chosen = sample(seed(2), list(enumerate(places)))
    for number, place in [*chosen, (len(places) - 1, places[-1])]:
        judge_own(place, number, len(places))
    # The daemons die and find them all again.
    lab.world.kill_dp()
    lab.world.kill_cp()
    lab.world.start_dp()
    lab.world.start_cp(wait=False)
    until(lambda: lab.world.is_listening("api.sock", lab.world.cp), "cp")
    until(lab.world.is_ready, "all are compared", limit_s=LIMIT_S)
    scrape_many(lab, places)
    lab.reconnect()
    assert sorted(listed(lab)) == sorted(place.id for place in places)
    for number, place in chosen:
        judge_own(place, number, len(places))
    rss_kb = {name: resident_kb(daemon.pid) for name, daemon in
              (("dp", lab.world.dp), ("cp", lab.world.cp))}
    began = time.monotonic()
    detach_all(lab, places)
    off_s = (time.monotonic() - began) / len(places)
    assert not listed(lab)
    until(lambda: len(lab.table("sn_rules")) == len(before),
          "the rules are swept", limit_s=LIMIT_S)
    say(f"{len(places)} {what}: attach {each_s * 1e3:.1f} ms, detach "
        f"{off_s * 1e3:.1f} ms each; resident {rss_kb} KiB")


def detach_all(lab, places):
    """So many at a time as a client may have under way."""
    for first in range(0, len(places), IN_FLIGHT):
        calls = [lab.api.stub.Detach.future(
            lab.api.daemon.DetachRequest(id=place.id), timeout=60)
            for place in places[first:first + IN_FLIGHT]]
        for call in calls:
            call.result()


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status
                    if line.startswith("VmRSS:"))


def test_many_cgroups(free):
    lab = free
    places = []
    for number in range(CGROUPS):
        place = lab.place("cgroup", 0)
        place.cgroup = f"many{number}"
        place.target = str(lab.world.cgroup(place.cgroup))
        places.append(place)
    judge_many(lab, places, "cgroups")


def test_many_interfaces(free):
    """One of them carries traffic; the others are there, and go together."""
    lab = free
    names = [f"m{number}" for number in range(VETHS)]
    lab.network.batch("".join(f"link add {name} group {1 + number // GROUP} type "
                              f"veth peer name p{name}\n"
                              for number, name in enumerate(names)))
    groups = range(1, 2 + (VETHS - 1) // GROUP)
    try:
        places = []
        for name in names:
            place = lab.place("tc", 0)
            place.target = name
            places.append(place)
        places[len(places) // 2].target = "w0"
        each_s = attach_all(lab, places)
        assert len(listed(lab)) == VETHS
        number = len(places) // 2
        judge_own(places[number], number, VETHS)
        for group in groups:
            lab.network.ip("link", "delete", "group", str(group))
        until(lambda: listed(lab) == [places[number].id],
              "attachments end with their interfaces", limit_s=LIMIT_S)
        judge_own(places[number], number, VETHS)
        say(f"{VETHS} interfaces: attach {each_s * 1e3:.1f} ms each")
    finally:
        for group in groups:
            lab.network.ip("link", "delete", "group", str(group), check=False)


def big_rules(lab, first, n):
    """Host prefixes with ports: 10.64.0.0 and on."""
    kind = lab.api.policy
    for number in range(first, first + n):
        high = (10 << 24) + (64 << 16) + number
        yield kind.Rule(verdict=kind.VERDICT_ALLOW, ports=["7/udp"],
                        cidr=f"{high >> 24}.{high >> 16 & 255}."
                             f"{high >> 8 & 255}.{high & 255}")


def apply_big(lab, place, n):
    chunks = [list(big_rules(lab, first, min(CHUNK, n - first)))
              for first in range(0, n, CHUNK)]
    base = lab.policy([f"allow {FENCE[0]}"])
    began = time.monotonic()
    lab.api.apply_stream(place.id, base, chunks)
    return time.monotonic() - began


def big_address(number):
    high = (64 << 16) + number
    return f"10.{high >> 16}.{high >> 8 & 255}.{high & 255}"


def test_many_rules(place):
    """Exchanged for as many others under traffic."""
    lab = place.lab
    lab.network.batch("route replace 10.64.0.0/10 via 10.254.3.2\n")
    # What an earlier test attached is swept later than it is detached.
    until(lambda: not lab.table("sn_rules"), "no rule is left",
          limit_s=LIMIT_S)
    empty = lab.map_bytes()["sn_rules"]
    place.attach(lab.policy([f"allow {FENCE[0]}"]))
    took_s = apply_big(lab, place, RULES)
    assert place.shown().rules == RULES + 1
    each = (lab.map_bytes()["sn_rules"] - empty) / RULES
    numbers = seed(3).sample(range(RULES), size(200, 5000))
    tuples = [(big_address(n), port) for n in numbers for port in (7, 8)]
    tuples += [(big_address(RULES + n), 7) for n in range(20)]
    known = {big_address(n) for n in numbers}
    probes(place, tuples, FENCE,
           lambda address, port: port == 7 and address in known)

    stream = place.stream([Flow(big_address(0), 7, {"big", "half"}),
                           Flow(big_address(RULES - 1), 7, {"big"}),
                           Flow(big_address(RULES), 7, set()),
                           Flow(*FENCE, {"big", "half"})],
                          styles=FRESH, pause_us=2000)
    timeline = Timeline("big")
    stream.flowing()
    with timeline.change("half"):
        apply_big(lab, place, RULES // 2)
    stream.flowing()
    stream.judge(timeline)
    say(f"{place.kind}: {RULES} rules in {took_s:.1f} s, {each:.0f} bytes of "
        f"kernel memory a rule, {resident_kb(lab.world.cp.pid)} KiB resident "
        "in sentinel-cp")
    place.detach()
    until(lambda: lab.map_bytes()["sn_rules"] == empty, "the rules are swept",
          limit_s=LIMIT_S)
