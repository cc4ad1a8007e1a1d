# SPDX-License-Identifier: Apache-2.0
"""What a verdict costs while another tenant floods. Long form only: measuring
is switched on for every program of the machine."""

import statistics

import pytest

from proof_lab import FRESH, KEPT, Timeline, say
from test_proof_floods import STEADY, TABLE, WORLD, flood
from world import run

__all__ = ["WORLD"]
OTHER = {"tc": "cgroup", "cgroup": "tc"}
STYLES = {KEPT: "established flow", FRESH: "new flow each"}


class Cost:
    """What the kernel measured of one kind's programs."""

    NAMES = {"tc": ("sn_tc_ingress", "sn_tc_egress"),
             "cgroup": ("sn_skb_egress", "sn_skb_ingress")}

    def __init__(self, lab, kind):
        self.lab = lab
        self.paths = [path for name in self.NAMES[kind]
                      for path in lab.world.bpffs.rglob(name)
                      if lab.is_program(path)]
        assert self.paths

    def read(self):
        shown = [self.lab.bpftool("prog", "show", "pinned", path)
                 for path in self.paths]
        return (sum(one.get("run_time_ns", 0) for one in shown),
                sum(one.get("run_cnt", 0) for one in shown))

    def of(self, work):
        """Nanoseconds a run, while work() is done."""
        before = self.read()
        work()
        after = self.read()
        assert after[1] > before[1]
        return (after[0] - before[0]) / (after[1] - before[1])


@pytest.mark.parametrize("kind", ["syn", "udp", "pair"])
def test_verdict_cost_under_a_flood(place, kind):
    """The flood goes through the other kind of hook, so that the run time of
    the victim's programs is the victim's alone."""
    lab = place.lab
    flooder = lab.place(OTHER[place.kind], 1)
    flooder.attach(lab.policy([], "DENYLIST"))
    place.attach(lab.policy([f"allow {STEADY.address}"]))
    cost = Cost(lab, place.kind)

    def measure(style):
        return cost.of(lambda: place.stream(
            [STEADY], styles=style, pause_us=20, cycles=10000).judge(
                Timeline("now")))

    old = run("sysctl", "-n", "kernel.bpf_stats_enabled").stdout.strip()
    run("sysctl", "-w", "kernel.bpf_stats_enabled=1")
    try:
        quiet = {style: statistics.median(measure(style) for _ in range(5))
                 for style in STYLES}
        flood(flooder, kind, 2 * TABLE)  # The tables are full now.
        loud = {style: [] for style in STYLES}

        def measure_all():
            for style in STYLES:
                loud[style].append(measure(style))

        flood(flooder, kind, 2 * TABLE, meanwhile=measure_all)
    finally:
        run("sysctl", "-w", f"kernel.bpf_stats_enabled={old}")
    loud = {style: statistics.median(loud[style]) for style in STYLES}
    for style, name in STYLES.items():
        say(f"{place.kind} {kind}, {name}: {quiet[style]:.0f} ns a verdict, "
            f"{loud[style]:.0f} ns under the flood")
    assert all(loud[style] <= 2 * quiet[style] for style in STYLES)
