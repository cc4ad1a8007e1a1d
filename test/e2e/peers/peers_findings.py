# SPDX-License-Identifier: Apache-2.0
"""Findings on the web page in a real Chromium: what a process does becomes a row,
and what it is called stays text."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

import world as worlds
from peers_page import (  # noqa: F401
    CONTRAST, PICTURES, PORT, SIZES, URL, Page, browser)
from test_metrics import agent_in

sys.path.insert(0, str(worlds.HERE / "runtime"))

from runtime_worker import text  # noqa: E402
from tracing import SMALL, Work  # noqa: E402

PLACE = Path(tempfile.gettempdir()) / f"{worlds.TAG}-{os.getpid()}-page"
EVIL = "<img src=x onerror=alert(1)>"
RULES = f"""\
rules:
  - name: page
    event: file_open
    severity: critical
    match: {{pathPrefixes: [{PLACE}]}}
    output: "opened {{file.path}}"
"""
CONFIG = f"""\
runtime:
  enabled: true
detection:
  rules: {PLACE}/rules.yaml
rest:
  socket: true
"""


@pytest.fixture(scope="module")
def tracefs(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracefs")
    worlds.run("mount", "-t", "tracefs", "tracefs", folder)
    yield folder
    worlds.run("umount", folder)


@pytest.fixture(scope="module")
def world(host, tracefs):
    PLACE.mkdir()
    PLACE.chmod(0o755)
    (PLACE / "rules.yaml").write_text(RULES)
    made = worlds.World(dp_options=[*SMALL, "--tracefs", tracefs],
                        config=worlds.QUICK + CONFIG)
    yield made
    made.end()
    worlds.run("rm", "-r", PLACE)


@pytest.fixture
def page(clean, browser):  # noqa: F811
    worlds.until(lambda: agent_in(clean).get_or_none(port=PORT, path="/") == 200,
                 "the page is served")
    browser.look(width=1440, height=900)
    browser.open(url=URL)
    browser.take_log()
    yield Page(browser)


def test_what_is_found_is_shown_as_text(page, clean):
    work = Work(clean, "work")
    try:
        page.wait("#findings-state", "^live$")
        page.wait("#findings tbody", "^Nothing was found.$")
        (PLACE / EVIL).write_text("x")
        work.do("openat", -100, text(PLACE / EVIL), os.O_RDONLY)
        page.wait("#findings tbody tr",
                  r"critical.*page.*opened .*<img src=x onerror=alert\(1\)>"
                  rf".*python3 \[{work.pid}\] < ")
        assert page.run("return document.querySelectorAll('#findings img').length") == 0
        for name, (width, height, is_phone) in SIZES.items():
            for scheme in ("light", "dark"):
                page.browser.look(width=width, height=height, scheme=scheme,
                                  is_phone=is_phone)
                page.browser.shot(path=str(
                    PICTURES / f"findings-{name}-{scheme}.png"))
                assert page.run(
                    "const e = document.documentElement;"
                    "return [e.clientWidth, e.scrollWidth]") == [width, width]
                assert page.run(CONTRAST) == [], (name, scheme)
        assert page.complaints() == []
    finally:
        work.end()
