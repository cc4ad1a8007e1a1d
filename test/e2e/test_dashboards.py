# SPDX-License-Identifier: Apache-2.0
"""The dashboards and alerts against the metrics that there are: whoever renames
one learns here what he breaks. (`make check-peers` asks a real Prometheus.)"""

import re

import pytest

from promql import dashboards, expressions, panels, read, rules
from test_metrics import documented

# What Prometheus itself adds to a scrape.
OF_A_SCRAPE = {"up": []}
LABELS_OF_A_SCRAPE = {"instance", "job"}
WIDTH = 24


def labels_of():
    """By name of a series: the documented labels."""
    found = dict(OF_A_SCRAPE)
    for name, (kind, labels, _) in documented().items():
        if kind == "histogram":
            found[name + "_bucket"] = [*labels, "le"]
            found[name + "_sum"] = found[name + "_count"] = labels
        else:
            found[name] = labels
    return found


def test_every_metric_and_label_is_documented():
    known = labels_of()
    for one in expressions():
        selectors, grouped = read(one.text)
        assert selectors, one
        together = set(LABELS_OF_A_SCRAPE)
        for selector in selectors:
            assert selector.metric in known, one
            labels = {*known[selector.metric], *LABELS_OF_A_SCRAPE}
            assert {label for label, _, _ in selector.matchers} <= labels, one
            together |= labels
        assert grouped <= together, one


def test_metrics_that_others_have_too_are_asked_for_by_job():
    for one in expressions():
        for selector in read(one.text)[0]:
            if not selector.metric.startswith("sentinel_"):
                assert ("job", "=", "sentinel") in selector.matchers, one


def test_counters_are_never_shown_as_they_stand():
    counters = {name for name, (kind, _, _) in documented().items()
                if kind == "counter"}
    for one in expressions():
        for name in counters:
            for before in re.findall(rf"(\w*\(?){name}\b", one.text):
                assert before in ("rate(", "increase("), one


def test_every_metric_is_shown_or_watched():
    shown = {selector.metric for one in expressions()
             for selector in read(one.text)[0]}
    missing = {name for name in documented()
               if not {name, name + "_bucket"} & shown}
    assert not missing


@pytest.mark.parametrize("name", dashboards())
def test_dashboards_are_whole(name):
    """What a hand easily gets wrong in such a file."""
    board = dashboards()[name]
    defined = {variable["name"] for variable in board["templating"]["list"]}
    taken, ids = set(), set()
    for panel in panels(board):
        assert panel["id"] not in ids
        ids.add(panel["id"])
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["x"] + at["w"] <= WIDTH
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert refs and len(set(refs)) == len(refs)
        for target in panel["targets"]:
            used = set(re.findall(r"\$(\w+)", target["expr"]))
            assert used - {"__rate_interval"} <= defined, target["expr"]
    assert {name.split(".")[0]} == {board["uid"].removeprefix("sentinel-")}


def test_alerts_say_what_is_and_what_to_do():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 25
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert "$labels.instance" in rule["annotations"]["summary"]
        assert rule["annotations"]["description"].rstrip().endswith(".")
        known = {label for selector in read(rule["expr"])[0]
                 for label in labels_of()[selector.metric]}
        for text in rule["annotations"].values():
            assert set(re.findall(r"\$labels\.(\w+)", text)) <= \
                known | LABELS_OF_A_SCRAPE, rule["alert"]
