# SPDX-License-Identifier: Apache-2.0
"""What packaging/dashboards asks Prometheus for: its expressions, and the metrics
and labels that they name. No parser of the language: enough of one to find the
names in what is written there, and anything doubtful is an error."""

import collections
import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packaging/dashboards"

# where: a panel's title or an alert's name. is_alert: of the rules.
Expression = collections.namedtuple("Expression", "where text is_alert")
# matchers: [(label, operator, value)]
Selector = collections.namedtuple("Selector", "metric matchers")

FUNCTIONS = {
    "avg", "changes", "count", "histogram_quantile", "increase", "label_replace",
    "max", "min", "min_over_time", "rate", "sum", "time", "topk", "vector"}
WORDS = {"and", "or", "unless", "by", "on", "group_left"}
STRING = r'"(?:[^"\\]|\\.)*"'
TOKEN = re.compile(
    rf"\s*(?:(?P<labels>(?:by|on|group_left)\s*\([a-z_, ]*\))"
    rf"|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<braces>\{{[^{{}}]*\}})"
    rf"|(?P<range>\[(?:[0-9]+[smh]|\$__rate_interval)\])|(?P<string>{STRING})"
    rf"|(?P<number>[0-9]+(?:\.[0-9]+)?)"
    rf"|(?P<operator>[-+*/(),]|==|!=|>=|<=|[<>]))")
MATCHER = re.compile(rf"([a-z_]+)(=~|!~|!=|=)({STRING})(?:,|\Z)")


def dashboards():
    return {path.name: json.loads(path.read_text())
            for path in sorted(FOLDER.glob("*.json"))}


def panels(board):
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())


def rules():
    return [rule for group in
            yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
            for rule in group["rules"]]


def expressions():
    found = [Expression(f"{name}: {panel['title']}", target["expr"], False)
             for name, board in dashboards().items()
             for panel in panels(board) for target in panel.get("targets", ())]
    return found + [Expression(rule["alert"], rule["expr"], True)
                    for rule in rules()]


def tokens(text):
    at = 0
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        assert match, f"not understood: {text[at:]!r} in {text!r}"
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()


def matchers(braces):
    text, at, found = braces[1:-1], 0, []
    while at < len(text):
        match = MATCHER.match(text, at)
        assert match, f"not understood: {text[at:]!r}"
        found.append((match[1], match[2], json.loads(match[3])))
        at = match.end()
    return found


def read(text):
    """(selectors, labels that are grouped or joined by)"""
    found, labels = [], set()
    parts = [*tokens(text), ("end", "")]
    for (kind, value), (after, following) in zip(parts, parts[1:]):
        if kind == "labels":
            labels |= set(re.findall(r"[a-z_]+", value.partition("(")[2]))
        elif kind == "name" and value not in WORDS:
            if following == "(" or value in FUNCTIONS and after == "labels":
                assert value in FUNCTIONS, f"{value}() in {text!r}"
                continue
            found.append(Selector(value, matchers(following)
                                  if after == "braces" else []))
    assert text.count("(") == text.count(")")
    return found, labels
