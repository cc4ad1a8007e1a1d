# SPDX-License-Identifier: Apache-2.0
"""Both daemons with runtime events and one detector."""

import os
import pwd
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import feeding  # noqa: E402
import world as worlds  # noqa: E402
from feeding import OPTIONS, PLACE, configure  # noqa: E402


@pytest.fixture(scope="module")
def tracefs(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracefs")
    worlds.run("mount", "-t", "tracefs", "tracefs", folder)
    yield folder
    worlds.run("umount", folder)


@pytest.fixture(scope="module")
def place(host):
    """Folders of the test and, the second, of the daemon's user."""
    account = pwd.getpwnam(worlds.USER)
    for folder in (PLACE, PLACE / "watched", PLACE / "spool"):
        folder.mkdir()
        folder.chmod(0o755)
    os.chown(PLACE / "spool", account.pw_uid, account.pw_gid)
    yield PLACE
    worlds.run("rm", "-rf", PLACE)


@pytest.fixture(scope="module")
def world(place, tracefs, request):
    """A module may set CONFIG, the rest of the detector."""
    made = worlds.World(dp_options=[*OPTIONS, "--tracefs", tracefs],
                        config=configure(getattr(request.module, "CONFIG", "")))
    yield made
    made.end()


@pytest.fixture(scope="session")
def detector_stubs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector_stubs")
    worlds.run("/usr/bin/python3", "-m", "grpc_tools.protoc",
               f"-I{worlds.ROOT / 'proto'}", f"--python_out={folder}",
               "sentinel/v1/detector.proto")
    return folder


@pytest.fixture
def peer(clean, detector_stubs, tmp_path):
    """Starts one; all are ended."""
    made = []

    def start(*options):
        made.append(feeding.Peer(clean, detector_stubs,
                                 tmp_path / f"got{len(made)}", *options))
        return made[-1]
    yield start
    for one in made:
        one.end()


@pytest.fixture
def events(clean, place, request):
    feeding.in_force(clean)
    folder = place / "watched" / request.node.name.replace("[", "-").strip("]")
    made = feeding.Events(clean, folder)
    yield made
    made.end()
