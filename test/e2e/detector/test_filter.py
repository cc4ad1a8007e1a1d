# SPDX-License-Identifier: Apache-2.0
"""A detector's filter that is changed while it is fed, and refused."""

import signal

import feeding
from feeding import PLACE, configure, status, until

# Values of --runtime-match in feeding.OPTIONS.
ROOM = 4096
OLD = f"[{PLACE}/watched]"
OTHER = "  rules:\n    - {name: other, events: [file_open], " \
    f"match: {{path_prefixes: [{PLACE}/other]}}}}\n"


def reload(world, match, rules=""):
    """The detector is to have match; the runtime's own rules are rules."""
    before = world.logs().count("reloaded")
    world.config.write_text(
        configure("").replace(OLD, match)
        .replace("runtime:\n", "runtime:\n" + rules))
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: world.logs().count("reloaded") > before, "it is read")


def test_a_filter_without_room_leaves_the_one_before_and_is_told(
        clean, peer, events):
    there = peer()
    until(lambda: status(clean)["state"] == "streaming", "it is connected")
    assert status(clean)["filter_error"] == ""
    wide = ", ".join(f"{PLACE}/wide/{at}" for at in range(ROOM))
    reload(clean, f"[{wide}]")
    until(lambda: status(clean)["filter_error"], "status says it")
    feeding.in_force(clean)
    assert "--runtime-match" in status(clean)["filter_error"]
    assert any("filter of detector 'peer' was refused" in one
               for one in clean.ok("status")["warnings"])
    assert "detector name=peer filter error=" in clean.logs()
    # What it got it gets, and what others want meanwhile is not kept out.
    events.make(10)
    until(lambda: len(there.named(events.folder)) >= 10, "it gets events")
    reload(clean, f"[{wide}]", OTHER)
    feeding.in_force(clean)
    runtime = clean.ok("status")["runtime"]
    assert (runtime["error"], runtime["rules"]) == ("", 1)
    reload(clean, f"[{PLACE}/watched, {PLACE}/elsewhere]")
    until(lambda: not status(clean)["filter_error"], "it is mended")
    events.make(10)
    until(lambda: len(there.named(events.folder)) >= 20, "it gets them still")
