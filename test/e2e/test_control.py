# SPDX-License-Identifier: Apache-2.0
"""The control plane's stream: order and content of what both sides say."""

import pytest

from control import PLAIN, Plane, take_over
from traffic import A, B, each
from world import QUICK, until

WORLD = {"config": QUICK + PLAIN + "  subscribe_timeout: 1s\n"
         "  metadata: [rack=12, site=north]\n"}


@pytest.fixture
def plane(clean, stubs):
    made = Plane(clean, stubs)
    yield made
    made.close()


def test_sync_request_comes_first_and_says_what_is_attached(plane, interface):
    ident = None
    assert plane.sync() == {}
    parts = plane.all("sync_request")
    assert plane.events[0][1] == "sync_request" and len(parts) == 1
    first = parts[0]
    status = interface.world.ok("status")
    assert first.daemon_id == status["daemon_id"]
    assert first.version == status["version"]
    assert first.hostname
    assert "cidr" in first.capabilities
    assert dict(first.metadata) == {"rack": "12", "site": "north"}

    ident = take_over(plane, interface.world, interface, cidrs=["10.20.0.0/16"])
    plane.end_stream()
    known = plane.sync(2)
    assert list(known) == [ident]
    one = known[ident]
    assert (one.target, one.type, one.applied_revision, one.closed) == \
        ("w0", 1, 1, False)
    assert one.mode == plane.policy.MODE_ALLOWLIST


def test_a_policy_from_afar_is_enforced(plane, target):
    world = target.world
    plane.sync()
    ident = take_over(plane, world, target, cidrs=[
        "10.20.0.0/16", plane.rule("fd20::/16", ports=["80"])])
    target.judge(each(A, True, ("tcp", "udp")) + each(B, False))
    plane.do(ident, 2, allow_cidr=plane.pb.AllowCIDR(cidr=B[4]))
    target.judge(each(B, True, families=(4,)) + each(B, False, families=(6,)))
    plane.do(ident, 3, deny_cidr=plane.pb.DenyCIDR(cidr=A[4], ports=["tcp"]))
    target.judge(each(A, False, ("tcp",), families=(4,)) +
                 each(A, True, ("udp",), families=(4,)))
    plane.do(ident, 4, remove_cidr=plane.pb.RemoveCIDR(cidr=A[4]))
    target.judge(each(A, True, ("tcp", "udp")))
    plane.do(ident, 5, set_mode=plane.pb.SetMode(
        mode=plane.policy.MODE_BLOCK_ALL))
    target.judge(each(A, False) + each(B, False))
    assert plane.do(ident, 6, bulk_update=plane.bulk([A[6]], audit=True)) \
        .applied_revision == 6
    assert target.show()["audit"]
    assert [(rule["cidr"], rule["owner"])
            for rule in world.ok("rules", ident)] == \
        [(A[6] + "/128", "remote")]
