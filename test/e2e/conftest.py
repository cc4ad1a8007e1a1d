# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one world for each module, one attachment for each test."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import api as api_client  # noqa: E402
import world as worlds  # noqa: E402
from traffic import Target  # noqa: E402


@pytest.fixture(scope="session")
def host():
    """Accounts, file systems, and nothing left of killed runs."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    worlds.ensure_host()
    worlds.sweep()


@pytest.fixture(scope="module")
def world(host, request):
    """A module may set WORLD to further arguments of World."""
    made = worlds.World(**getattr(request.module, "WORLD", {}))
    yield made
    made.end()


@pytest.fixture
def clean(world):
    """Both daemons run, before and after, and nothing is attached after."""
    world.ensure_daemons()
    yield world
    world.ensure_daemons()
    world.detach_all()


@pytest.fixture(params=["tc", "cgroup"])
def target(request, clean):
    return Target(clean, request.param)


@pytest.fixture
def interface(clean):
    return Target(clean, "tc")


@pytest.fixture
def box(clean):
    return Target(clean, "cgroup")


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    return api_client.make_stubs(tmp_path_factory.mktemp("stubs"))


@pytest.fixture
def api(clean, stubs):
    client = api_client.Client(clean.api_path, stubs)
    yield client
    client.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the daemons said."""
    outcome = yield
    report = outcome.get_result()
    made = item.funcargs.get("world") if hasattr(item, "funcargs") else None
    if report.failed and made:
        report.sections.append(("daemons", made.logs()))
