# SPDX-License-Identifier: Apache-2.0
"""What detection rules cost an event, by their number."""

from report import Target


def bench_rules(report, run_tool, quick):
    lines = run_tool("rules", 5 if quick else 41, cpu=1)
    series = {str(line["rules"]): line["samples"] for line in lines}
    hits = {line["rules"]: line["hits"] for line in lines}
    if hits[0] or not hits[500] or hits[1000] < hits[500]:
        raise RuntimeError(f"hits by rules: {hits}")
    report.add("rules", "judging an event, by rules", series, "ns", "1",
               {"500": Target("median", 1000)})
