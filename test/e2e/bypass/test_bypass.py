# SPDX-License-Identifier: Apache-2.0
"""The bypass table: an allowlist opens one TCP port of one host, and nothing
else arrives at the far end, however it is sent. Under the policy a row must not
arrive and must be counted for its own reason; with the attachment in mode
`disabled` the same attempt must arrive, which shows that it was the policy that
stopped it.

Every row is tried at a bridge port and in a cgroup. At the other kinds of
attachment the short form tries each third row; SN_SOAK=1 tries all.
"""

import os

import pytest

import rows_frames
import rows_ipv4
import rows_ipv6
import rows_sockets
from place import KINDS
from traffic import A

WORLD = {"dp_options": ["--allow-host-role"]}
ROWS = (rows_sockets.ROWS + rows_ipv4.ROWS + rows_ipv6.ROWS +
        rows_frames.ROWS)
WHOLE = KINDS if os.environ.get("SN_SOAK") else ("bridge", "cgroup")
CASES = [pytest.param(kind, row, id=f"{kind}: {row.name}")
         for kind in KINDS
         for row in [row for row in ROWS
                     if kind in row.on][::1 if kind in WHOLE else 3]]
CONTROLS = [case for case in CASES
            if case.values[1].is_carried(case.values[0])]
# A decision that could not be made is no decision of the policy.
ACCIDENTS = {"no-slot", "no-policy", "race", "helper"}


def show(frames):
    return "\n".join(f"  {frame['bytes']} bytes: {frame['head']}"
                     for frame in frames)


def test_rows_have_names_of_their_own():
    names = [row.name for row in ROWS]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("kind", ["bridge", "routed", "cgroup", "macvlan"])
@pytest.mark.parametrize("family", [4, 6])
def test_the_one_port_is_open(places, kind, family):
    place = places(kind)
    place.set("closed")
    answers = place.sender.probe(
        probes=[["tcp", A[family], 443, True], ["tcp", A[family], 80, False]],
        grace_s=0.1)
    place.fence()
    assert answers[0]["result"] == "ok"
    assert answers[1]["result"] == ("EPERM" if kind == "cgroup" else "timeout")


@pytest.mark.parametrize("kind, row", CASES)
def test_stopped(places, kind, row):
    place = places(kind)
    place.set(row.policy)
    place.fence()
    before = place.counted()

    sent = row.send(place)
    leaked = row.forbidden(place.fence())

    after = place.count()
    grown = {name: after[name] - before.get(name, 0) for name in after
             if after[name] != before.get(name, 0)}
    assert not leaked, f"arrived ({sent}):\n{show(leaked)}"
    assert grown.get(row.reason_at(kind), 0) >= row.count, f"{sent}: {grown}"
    assert not ACCIDENTS & set(grown), f"{sent}: {grown}"


@pytest.mark.parametrize("kind, row", CONTROLS)
def test_sender_works(places, kind, row):
    place = places(kind)
    place.set("disabled")
    place.fence()

    sent = row.send(place)
    arrived = [frame for frame in place.fence()
               if frame["marked"] or not row.marked]

    assert arrived, f"{sent}: nothing arrived"
