# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the resolver's tests: one world for each module, each test with
an interface and with a cgroup."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import DnsWorld, Site  # noqa: E402


@pytest.fixture(scope="module")
def world(host, request):
    made = DnsWorld(**getattr(request.module, "WORLD", {}))
    yield made
    made.end()


@pytest.fixture(params=["tc", "cgroup"])
def site(request, clean):
    made = Site(clean, request.param)
    clean.upstream.behave()
    clean.upstream.take_asked()
    yield made
    made.client.drop_kept()


@pytest.fixture
def sites(clean):
    """Both at once."""
    clean.upstream.behave()
    clean.upstream.take_asked()
    return {kind: Site(clean, kind) for kind in ("tc", "cgroup")}
