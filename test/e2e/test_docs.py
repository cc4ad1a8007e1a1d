# SPDX-License-Identifier: Apache-2.0
"""The documents against the tables that they describe."""

import itertools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()


def rows(heading):
    """First cells of the first table after a heading or a line."""
    text = ARCHITECTURE.split(heading, 1)[1]
    cells = []
    for line in text.splitlines():
        if line.startswith("|"):
            cells.append([cell.strip() for cell in line.strip("|").split("|")])
        elif cells:
            break
    return cells[2:]


def test_architecture_lists_every_reason_with_kind_and_meaning():
    defined = re.findall(
        r'^SN_REASON\((\w+), (\w+), "([^"]+)",\s*"([^"]+)"\)',
        (ROOT / "shared/reasons.def").read_text(), re.M)
    expected = [[name, kind.lower(), meaning]
                for _, kind, name, meaning in defined]
    assert len(expected) > 20
    assert rows("### Reasons") == expected


def test_architecture_lists_every_message():
    defined = re.findall(r"^SN_IPC\((\w+), \d+",
                         (ROOT / "shared/ipc.def").read_text(), re.M)
    assert len(defined) > 5
    assert [row[0] for row in rows("## 4. The link")] == defined


def test_architecture_lists_every_hook_of_runtime_events():
    text = (ROOT / "shared/runtime.def").read_text()
    events = dict(re.findall(r'^SN_RT_EVENT\((\w+), "(\w+)"', text, re.M))
    limits = dict(re.findall(r'^SN_RT_LIMIT\((\w+), "([^"]+)"', text, re.M))
    defined = [re.split(r",\s*", row) for row in
               re.findall(r"^SN_RT_HOOK\(([^)]*)\)", text, re.M)]
    assert {row[0] for row in defined} == set(events)
    expected = [[events[event], way.lower(),
                 ", ".join(row[4] for row in group), limits[limit]]
                for (event, way, _, _, limit), group in itertools.groupby(
                    defined, lambda row: (
                        *row[:2], row[2] if row[1] == "TRACEPOINT" else "",
                        row[3] == "BTF", row[6]))]
    assert rows("### Runtime events") == expected


def test_architecture_lists_every_folder_of_controld():
    folders = sorted(path.name for path in (ROOT / "controld").iterdir()
                     if path.is_dir())
    listed = sorted(row[0].strip("`/") for row in
                    rows("## 6. sentinel-cp inside"))
    assert listed == folders


def test_readme_is_short_and_names_the_two_commands():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 150
    assert "sudo make demo" in readme
    assert "sudo make check" in readme


def test_proto_comment_rules_hold():
    """Every enum has an UNSPECIFIED zero, as the file headers promise."""
    for proto in (ROOT / "proto/sentinel/v1").glob("*.proto"):
        for name, body in re.findall(r"enum (\w+) \{(.*?)\n\}",
                                     proto.read_text(), re.S):
            first = re.search(r"(\w+) = 0;", body)
            assert first and first[1].endswith("_UNSPECIFIED"), name
