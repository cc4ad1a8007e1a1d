# SPDX-License-Identifier: Apache-2.0
"""sentinelctl top as it looks in an xterm, judged by pixels: what can be read,
where, and in which colour. Part of `make check-peers`, X's packages being
large."""

import contextlib
import re

import pytest

import pixels
from test_top import busy  # noqa: F401
from world import until


@pytest.fixture
def display(tmp_path):
    made = pixels.Display(tmp_path / "display")
    yield made
    made.end()


@contextlib.contextmanager
def top(world, display, width, **environment):
    command = [world.bin / "sentinelctl", "top", "--interval", "1s"]
    with display.terminal(width, 12, command, SENTINEL_SOCKET=str(
            world.api_path), **environment) as picture:
        yield picture


def shows(picture, pattern):
    """The lines, once one of them has the pattern, and not in the middle of
    being drawn."""
    def look():
        lines = picture.text()
        return any(re.search(pattern, line) for line in lines) and \
            lines == picture.text() and lines
    return until(look, f"a line is {pattern!r}")


RED, YELLOW = {(205, 0, 0)}, (255, 255, 0)
TOP_ROWS = {
    120: r"^[0-9a-f]{8} w0 .* denylist +[1-9]\S*( +\S+){4} +10.30.0.9 443/udp$",
    80: r"^[0-9a-f]{8} w0 +denylist +[1-9]\S* +[1-9]", 40: r"w0 +([1-9]\S* +){2}",
    20: r"^w0 +[1-9]\S* +[1-9]\S*$"}


@pytest.mark.parametrize("width", TOP_ROWS)
def test_picture_of_top(busy, display, width):  # noqa: F811
    with top(busy, display, width) as picture:
        lines = shows(picture, TOP_ROWS[width])
        picture.save(f"top-{width}")
        assert "?" not in "".join(lines), lines
        rows = [line for line in range(12) if lines[line]]
        assert rows == list(range(5)), lines
        assert "w0" in lines[3] and "calm" in lines[4], lines
        cells = picture.cells()
        for cell in cells[2]:  # the head is reversed, as a whole
            assert cell.back != (0, 0, 0)
        assert re.search("attached$|/s$", lines[0]), lines
        assert cells[3][lines[3].index("w0")].ink == RED
        assert cells[4][lines[4].index("calm")].ink.isdisjoint(RED)


def test_picture_of_top_without_colours(busy, display):  # noqa: F811
    with top(busy, display, 80, NO_COLOR="1") as picture:
        shows(picture, TOP_ROWS[80])
        picture.save("top-no-color")
        inks = set().union(*(cell.ink for cell in picture.cells()[3]))
        assert inks and all(len(set(ink)) == 1 for ink in inks)


def test_picture_of_top_without_daemon(busy, display):  # noqa: F811
    with top(busy, display, 80) as picture:
        shows(picture, TOP_ROWS[80])
        busy.kill_cp()
        lines = shows(picture, "^NOT CURRENT: is sentinel-cp running[?] ")
        picture.save("top-away")
        assert "w0" in lines[3]
        assert picture.cells()[1][0].ink == {YELLOW}
    busy.start_cp()
