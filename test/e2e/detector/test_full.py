# SPDX-License-Identifier: Apache-2.0
"""A detector for whose rule there is no room."""

import pytest

import feeding
import world as worlds
from feeding import PLACE, configure, status, until

# Half of those that there may be, and the other half from a file.
HALF = 512
CONFIGURED = "  rules:\n" + "".join(
    f"    - {{name: c{number}, events: [file_open], match: "
    f"{{path_prefixes: [/none/{number}]}}}}\n" for number in range(HALF))
DETECTED = "rules:\n" + "".join(
    f"  - {{name: d{number}, event: file_open, match: "
    f"{{paths: [/none/{number}]}}}}\n" for number in range(HALF))


@pytest.fixture(scope="module")
def world(place, tracefs):
    rules = place / "rules.yaml"
    rules.write_text(DETECTED)
    rules.chmod(0o644)
    made = worlds.World(
        dp_options=[*feeding.OPTIONS, "--tracefs", tracefs],
        config=configure("").replace("runtime:\n", "runtime:\n" + CONFIGURED) +
        f"detection:\n  rules: {rules}\n")
    yield made
    made.end()


def test_a_detector_without_room_gets_no_events_and_status_says_so(
        clean, peer, events):
    there = peer()
    events.make(10)
    found = status(clean)
    assert (found["error"], found["no_events"]) == ("", "too many rules")
    warnings = clean.ok("status")["warnings"]
    assert "detector 'peer' gets no events: too many rules" in warnings
    assert not any("events wait" in one for one in warnings)
    assert "too many rules; it gets no events" in clean.log()
    # Those of the configuration pay nothing for it.
    runtime = clean.ok("status")["runtime"]
    assert (runtime["state"], runtime["rules"]) == ("in-force", HALF)
    assert found["accepted"] == found["streams"] == 0
    assert not there.streams and not there.got()
    # With room it is fed, whoever made it.
    (PLACE / "rules.yaml").write_text("rules: []\n")
    assert clean.ctl("rules", "reload").code == 0
    until(lambda: status(clean)["state"] == "streaming", "it is connected")
    feeding.in_force(clean)
    events.make(10)
    until(lambda: len(there.named(events.folder)) >= 10, "it gets events")
    assert status(clean)["no_events"] == ""
    assert not clean.ok("status")["runtime"]["error"]
