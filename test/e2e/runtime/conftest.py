# SPDX-License-Identifier: Apache-2.0
"""Both daemons with runtime events."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import world as worlds  # noqa: E402
from tracing import SMALL, Trace, Work  # noqa: E402


@pytest.fixture(scope="module")
def tracefs(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracefs")
    worlds.run("mount", "-t", "tracefs", "tracefs", folder)
    yield folder
    worlds.run("umount", folder)


@pytest.fixture(scope="module")
def world(host, tracefs, request):
    """A module may set CONFIG, the rest of the section `runtime`, and OPTIONS of
    sentinel-dp."""
    config = getattr(request.module, "CONFIG", "")
    made = worlds.World(dp_options=[*SMALL, "--tracefs", tracefs,
                                    *getattr(request.module, "OPTIONS", [])],
                        config=worlds.QUICK + "runtime:\n  enabled: true\n" +
                        config)
    yield made
    made.end()


@pytest.fixture
def work(clean):
    made = Work(clean, "work")
    yield made
    made.end()


@pytest.fixture
def trace(clean):
    """Starts one; all are ended."""
    made = []

    def begin(*options, **how):
        made.append(Trace(clean, *options, **how))
        return made[-1]
    yield begin
    for one in made:
        if not one.child.stdout.closed:
            one.end()
