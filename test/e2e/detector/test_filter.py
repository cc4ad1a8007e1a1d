# SPDX-License-Identifier: Apache-2.0
"""A detector's filter that is refused: changed while it is fed, and from the
start."""

import signal

import pytest

import feeding
from feeding import PLACE, configure, status, until

# Values of --runtime-match in feeding.OPTIONS.
ROOM = 4096
WIDE = ", ".join(f"{PLACE}/wide/{at}" for at in range(ROOM))
OLD = f"[{PLACE}/watched]"
OTHER = "  rules:\n    - {name: other, events: [file_open], " \
    f"match: {{path_prefixes: [{PLACE}/other]}}}}\n"


def write(world, match, rules="", rest=""):
    """The detector is to have match; the runtime's own rules are rules."""
    world.config.write_text(
        configure("").replace(OLD, match)
        .replace("runtime:\n", "runtime:\n" + rules) + rest)


@pytest.fixture
def begin(clean):
    """begin(...): the daemon starts with what write() is given."""
    def start(*arguments):
        clean.kill_cp()
        write(clean, *arguments)
        clean.start_cp()
    yield start
    if clean.cp:
        clean.kill_cp()
    write(clean, OLD)


def read_again(world):
    before = world.log().count("reloaded")
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: world.log().count("reloaded") > before, "it is read")


def reload(world, match, rules=""):
    write(world, match, rules)
    read_again(world)


def test_a_filter_without_room_leaves_the_one_before_and_is_told(
        clean, peer, events):
    there = peer()
    until(lambda: status(clean)["state"] == "streaming", "it is connected")
    assert status(clean)["filter_error"] == ""
    reload(clean, f"[{WIDE}]")
    until(lambda: status(clean)["filter_error"], "status says it")
    feeding.in_force(clean)
    assert "--runtime-match" in status(clean)["filter_error"]
    assert any("filter of detector 'peer' was refused" in one
               for one in clean.ok("status")["warnings"])
    assert "detector name=peer filter error=" in clean.log()
    # What it got it gets, and what others want meanwhile is not kept out.
    events.make(10)
    until(lambda: len(there.named(events.folder)) >= 10, "it gets events")
    reload(clean, f"[{WIDE}]", OTHER)
    feeding.in_force(clean)
    runtime = clean.ok("status")["runtime"]
    assert (runtime["error"], runtime["rules"]) == ("", 1)
    reload(clean, f"[{PLACE}/watched, {PLACE}/elsewhere]")
    until(lambda: not status(clean)["filter_error"], "it is mended")
    events.make(10)
    until(lambda: len(there.named(events.folder)) >= 20, "it gets them still")


def test_a_filter_that_is_refused_at_the_start_keeps_nobody_out(
        begin, clean, peer, events):
    there = peer()
    begin(f"[{WIDE}]", OTHER)

    def is_said():
        """All of it at once: it is tried again now and then."""
        found = clean.ok("status")
        peer, = found["detectors"]
        return "--runtime-match" in peer["no_events"] and \
            found["runtime"]["state"] == "in-force" and (found, peer)

    found, told = until(is_said, "status says it")
    assert (found["runtime"]["error"], found["runtime"]["rules"]) == ("", 1)
    # There is none before it that could stay.
    assert told["filter_error"] == ""
    assert [one for one in found["warnings"] if "peer" in one] == [
        f"detector 'peer' gets no events: {told['no_events']}"]
    assert "it gets no events before there is room" in clean.log()
    events.make(10)
    reload(clean, OLD, OTHER)
    until(lambda: not status(clean)["no_events"], "it is mended")
    events.make(10)
    until(lambda: len(there.named(events.folder)) >= 10, "it gets events")
    # Not those of before.
    assert {one["name"] for one in there.named(events.folder)} == \
        set(events.names()[10:])


def test_a_filter_that_is_refused_at_the_start_is_tried_again(
        begin, clean, place, peer, events):
    """Beside the rules of detection it does not go in, alone it does."""
    names = ", ".join(f"{PLACE}/many/{at}" for at in range(ROOM * 5 // 8))
    rules = place / "rules.yaml"
    rules.write_text("rules:\n  - {name: many, event: file_open, "
                     f"match: {{path_prefixes: [{names}]}}}}\n")
    rules.chmod(0o644)
    there = peer()
    begin(f"[{PLACE}/watched, {names.replace('/many/', '/more/')}]", "",
          f"detection:\n  rules: {rules}\n")
    until(lambda: "--runtime-match" in status(clean)["no_events"],
          "status says it")
    until(lambda: clean.ok("status")["detection"]["in_force"],
          "the others are in force")
    rules.write_text("rules: []\n")
    assert clean.ctl("rules", "reload").code == 0
    until(lambda: not status(clean)["no_events"], "there is room")
    assert "detector name=peer: there is room" in clean.log()
    events.make(10)
    until(lambda: len(there.named(events.folder)) >= 10, "it gets events")


def test_which_detectors_there_are_is_changed_by_a_restart_and_told(
        clean, peer, events):
    there = peer()
    until(lambda: status(clean)["state"] == "streaming", "it is connected")
    other = configure("").replace("name: peer", "name: other")
    clean.config.write_text(other)
    read_again(clean)
    assert "detector name=peer: goes on until a restart" in clean.log()
    assert "detector name=other: gets no events before a restart" in \
        clean.log()
    assert status(clean, "other") is None
    events.make(10)
    until(lambda: len(there.named(events.folder)) >= 10, "it gets events")
    n_lines = clean.log().count("restart")
    reload(clean, OLD)
    assert clean.log().count("restart") == n_lines
