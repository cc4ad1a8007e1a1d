# SPDX-License-Identifier: Apache-2.0
"""One ground for each module, and on it one attachment of each kind."""

import pytest

from place import KINDS, Ground


@pytest.fixture(scope="module")
def ground(world):
    made = Ground(world)
    try:
        made.add_far()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def places(ground):
    """Each kind once, attached when it is first asked for."""
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = KINDS[kind](ground)
        return made[kind]
    return get
