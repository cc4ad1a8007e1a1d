#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: what Sentinel costs beside what people use else, in one run.

Every number is a median over rounds in which the variants take turns, and what
is compared are the medians' ratios. A wrong or lost packet breaks its section
and the run ends with status 1; a target that is missed is printed and is not
an error. SN_BENCH_QUICK=1 is a short run; SN_BENCH_ONLY=section,... picks
sections; SENTINEL_BUILD is the build directory.
"""

import collections
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import world as worlds  # noqa: E402
from control import bench_control  # noqa: E402
from resolver import bench_dns  # noqa: E402
from report import Report, Target  # noqa: E402
from rules import bench_rules  # noqa: E402
from runtime import bench_runtime  # noqa: E402
from stream import bench_stream  # noqa: E402
from wire import bench_connect, bench_wire  # noqa: E402

QUICK = os.environ.get("SN_BENCH_QUICK", "0") == "1"
TOOLS = worlds.BUILD / "test" / "bench"
LIMIT_S = 900


def run_tool(name, *arguments, cpu=None, prefix=(), text_in=None, fds=()):
    """Runs one of our programs before all others on its CPUs; its JSON lines.
    Raises on a wrong packet."""
    pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
    done = subprocess.run(
        ["nice", "-n", "-20", *map(str, prefix), *pin, str(TOOLS / f"bench-{name}"),
         *map(str, arguments)], text=True, input=text_in, capture_output=True,
        timeout=LIMIT_S, check=False, pass_fds=fds)
    if done.returncode:
        raise RuntimeError(f"bench-{name}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def net_of_empty(series):
    """Takes the empty loop's median off every sample of the others."""
    empty = statistics.median(series.pop("empty"))
    return {variant: [sample - empty for sample in samples]
            for variant, samples in series.items()}


def describe(row):
    if row["row"] == "established":
        return f"established flow, {row['flows']:,} flows, by rules"
    what = "rule look-up" if row["row"] == "lookup" else "whole new flow"
    mix = "95 % hosts + 4 lengths" if row["mix"] == "hosts+4" else "33 lengths"
    return f"{what}, IPv{row['family']}, {mix}, {row['rules']:,}, {row['case']}"


def targets_of(row):
    if row["row"] == "established":
        return {"1000000": Target("ratio", 1.10)}
    if row["row"] != "lookup" or row["rules"] != 100000:
        return {}
    if row["mix"] == "33":
        return {"sentinel": Target("ratio", 1.15)}
    return {"sentinel": Target("ratio", 0.60)} if row["case"] == "hit" else {}


def bench_kernel(report):
    """The verdict library alone, by BPF_PROG_TEST_RUN."""
    lines = run_tool("kernel", TOOLS / "bench.bpf.o", 9 if QUICK else 21,
                     int(QUICK), cpu=1)
    rows = collections.OrderedDict()
    for line in lines:
        key = {name: value for name, value in line.items()
               if name not in ("variant", "samples", "unit")}
        entry = rows.setdefault(json.dumps(key), (key, {}))
        entry[1][line["variant"]] = line["samples"]
    for key, series in rows.values():
        report.add("kernel", describe(key), net_of_empty(series), "ns",
                   "10" if key["row"] == "established" else "trie",
                   targets_of(key))


def environment():
    def first(path, word):
        for line in Path(path).read_text().splitlines():
            if line.startswith(word):
                return line.partition(":")[2].strip()
        return "unknown"

    return {
        "kernel": platform.release(), "machine": platform.machine(),
        "cpu": first("/proc/cpuinfo", "model name"), "cpus": os.cpu_count(),
        "pinned": "sender CPU 0, receiver CPU 1; loops and connect() CPU 1;"
                  " all at nice -20; daemons and nft not pinned",
        "load_before": os.getloadavg(), "quick": QUICK,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


SECTIONS = {
    "kernel": bench_kernel,
    "wire": lambda report: with_world(report, bench_wire),
    "connect": lambda report: with_world(report, bench_connect),
    "control": lambda report: with_world(report, bench_control),
    "stream": lambda report: with_world(report, bench_stream),
    "dns": lambda report: with_world(report, bench_dns),
    "runtime": lambda report: bench_runtime(report, run_tool, QUICK),
    "rules": lambda report: bench_rules(report, run_tool, QUICK),
}


def with_world(report, bench):
    world = worlds.World()
    try:
        bench(report, world, run_tool, QUICK)
    except BaseException:
        print(world.logs(), file=sys.stderr)
        raise
    finally:
        world.end()


def main():
    if os.geteuid() != 0 or os.cpu_count() < 2:
        sys.exit("bench: needs root and two CPUs")
    worlds.ensure_host()
    worlds.sweep()
    report = Report()
    described = environment()
    wanted = os.environ.get("SN_BENCH_ONLY", ",".join(SECTIONS)).split(",")
    for name in wanted:
        start = time.monotonic()
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        try:
            SECTIONS[name](report)
        except Exception as error:  # pylint: disable=broad-except
            traceback.print_exc()
            report.add_broken(name, str(error))
        described[f"{name}_s"] = round(time.monotonic() - start, 1)
    described["load_after"] = os.getloadavg()
    for key, value in described.items():
        print(f"{key}: {value}")
    print()
    report.print_table()
    folder = worlds.BUILD / "bench"
    report.write(folder, described)
    missed = sum(row["ok"] is False for row in report.rows)
    print(f"\n{len(report.rows)} rows, {missed} targets missed,"
          f" {len(report.broken)} sections broken; {folder}/bench.json and"
          " plots beside it")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
