# SPDX-License-Identifier: Apache-2.0
"""What a run of the benchmark found: rows with medians and ratios, as a table,
as JSON and as plots."""

import json
import statistics
from html import escape

PREFERRED = {"ns": "lower", "us": "lower", "ms": "lower",
             "packets/s": "higher", "Gbit/s": "higher",
             "packets/CPU s": "higher", "Gbit/CPU s": "higher",
             "answers/s": "higher", "answers/CPU s": "higher",
             "records/s": "higher", "records/CPU s": "higher",
             "CPU us": "lower", "bytes": "lower",
             "%": "higher"}
BAR, GAP, LEFT, WIDTH, RIGHT = 16, 6, 330, 420, 230


def percentile(samples, share):
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Target:
    """of: "ratio" to the reference, its "median", or the "difference" to the
    reference's median. bound: at most that, or at least if `least`."""

    def __init__(self, of, bound, least=False):
        self.of, self.bound, self.least = of, bound, least

    def __str__(self):
        return f"{self.of} {'>=' if self.least else '<='} {self.bound:g}"

    def met(self, row):
        value = row[self.of]
        return value >= self.bound if self.least else value <= self.bound


class Report:
    def __init__(self):
        self.rows = []
        self.broken = []

    def add(self, section, row, series, unit, reference=None, targets=None):
        """series: variant -> samples. reference: the variant that the others
        are compared with. targets: variant -> Target or (reference, Target)."""
        medians = {variant: statistics.median(samples)
                   for variant, samples in series.items()}
        for variant, samples in series.items():
            target = (targets or {}).get(variant)
            against = reference
            if isinstance(target, tuple):
                against, target = target
            if against == variant:
                against = None
            found = {
                "section": section, "row": row, "variant": variant,
                "unit": unit, "n": len(samples), "median": medians[variant],
                "p99": percentile(samples, 0.99 if PREFERRED[unit] == "lower"
                                  else 0.01),
                "ratio": medians[variant] / medians[against]
                if against and medians[against] else None,
                "difference": medians[variant] - medians[against]
                if against else None,
                "against": against, "target": str(target) if target else None,
                "ok": None,
            }
            if target:
                found["ok"] = target.met(found)
            self.rows.append(found)

    def compare(self, section, row, series, unit, variant, against, target):
        """A ratio that is wanted besides those to the reference."""
        n_before = len(self.rows)
        self.add(section, row, {variant: series[variant],
                                against: series[against]}, unit, against,
                 {variant: target})
        del self.rows[n_before + 1:]
        self.rows[n_before]["compares"] = True
        paired = [a / b for a, b in zip(series[variant], series[against])
                  if b]
        if len(paired) > 2:
            low, _, high = statistics.quantiles(paired, n=4)
            self.rows[n_before]["spread"] = [low, high]

    def add_broken(self, section, text):
        self.broken.append({"section": section, "error": text})

    def print_table(self):
        head = ("row", "variant", "median", "p99", "unit", "ratio", "against",
                "target", "")
        lines = [head]
        for row in self.rows:
            shown = (row["variant"], number(row["median"]),
                     number(row["p99"]), row["unit"])
            if row.get("compares"):
                low, high = row.get("spread", (None, None))
                shown = (f"  {row['variant']} beside",
                         f"{low:.2f} to" if low else "",
                         f"{high:.2f}" if low else "", "")
            lines.append((
                row["row"], *shown,
                f"{row['ratio']:.2f}" if row["ratio"] else "",
                row["against"] or "", row["target"] or "",
                {None: "", True: "ok", False: "MISSED"}[row["ok"]]))
        widths = [max(len(line[i]) for line in lines)
                  for i in range(len(head))]
        last = None
        for line in lines:
            if last and line[0] != last:
                print()
            shown = ("" if line[0] == last else line[0],) + line[1:]
            print("  ".join(
                text.rjust(width) if i in (2, 3, 5) else text.ljust(width)
                for i, (text, width) in enumerate(zip(shown, widths)))
                .rstrip())
            last = line[0]
        for entry in self.broken:
            print(f"BROKEN: {entry['section']}: {entry['error']}")

    def write(self, folder, environment):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bench.json").write_text(json.dumps(
            {"environment": environment, "rows": self.rows,
             "broken": self.broken}, indent=1) + "\n")
        for section in dict.fromkeys(row["section"] for row in self.rows):
            (folder / f"{section}.svg").write_text(self.plot(section))

    def plot(self, section):
        """Horizontal bars, each row to its own scale."""
        parts, y = [], 30
        rows = [row for row in self.rows
                if row["section"] == section and not row.get("compares")]
        for name in dict.fromkeys(row["row"] for row in rows):
            group = [row for row in rows if row["row"] == name]
            top = max(row["median"] for row in group) or 1
            parts.append(text(8, y, name, "bold"))
            y += BAR
            for row in group:
                colour = {None: "#8090a0", True: "#3a8f5c",
                          False: "#c0563f"}[row["ok"]]
                width = max(1, WIDTH * row["median"] / top)
                note = f"{number(row['median'])} {row['unit']}"
                if row["ratio"]:
                    note += f" ({row['ratio']:.2f} of {row['against']})"
                parts += [
                    text(LEFT - 6, y + 12, row["variant"], "end"),
                    f'<rect x="{LEFT}" y="{y}" width="{width:.1f}"'
                    f' height="{BAR}" fill="{colour}"/>',
                    text(LEFT + width + 6, y + 12, note)]
                y += BAR + GAP
            y += 2 * GAP + BAR
        total = LEFT + WIDTH + RIGHT
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}"'
                f' height="{y}" font-family="sans-serif" font-size="12">\n'
                f'<rect width="{total}" height="{y}" fill="white"/>\n' +
                "\n".join(parts) + "\n</svg>\n")


def text(x, y, content, style=""):
    more = {"end": ' text-anchor="end"', "bold": ' font-weight="bold"'}
    return (f'<text x="{x:.0f}" y="{y:.0f}"{more.get(style, "")}>'
            f"{escape(content)}</text>")


def number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
