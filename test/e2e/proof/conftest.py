# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the proofs: the lab, and a place behind each kind of hook."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import api as api_client  # noqa: E402
import proof_lab  # noqa: E402


@pytest.fixture(scope="module")
def lab(world, stubs):
    made = proof_lab.Lab(world, lambda: api_client.Client(world.api_path,
                                                          stubs))
    yield made
    made.end()


@pytest.fixture(params=["tc", "cgroup"])
def place(request, lab):
    """Daemons run and nothing is attached, before and after."""
    lab.world.ensure_daemons()
    yield lab.place(request.param)
    lab.stop_streams()
    lab.world.ensure_daemons()
    lab.world.detach_all()


@pytest.fixture
def free(lab):
    """The same for tests that make their targets themselves."""
    lab.world.ensure_daemons()
    yield lab
    lab.stop_streams()
    lab.world.ensure_daemons()
    lab.world.detach_all()
