# SPDX-License-Identifier: Apache-2.0
"""Whole policies from afar, exchanged under traffic."""

from planes import Plane, kernel_becomes, take_over, with_keepalive
from test_attach import gaps, running_stream, sent
from test_control import memory_kb
from traffic import A, B
from world import QUICK, SINK_PORT, until

# Messages are many at once here, and the peer is one Python process.
WORLD = {"config": QUICK + with_keepalive("5s")}
TURNS = 1000


def test_a_thousand_updates_lose_and_leak_nothing(clean, target, stubs):
    """What both policies allow is never cut, what neither allows never passes,
    and the kernel ends with the last one alone."""
    world = target.world
    plane = Plane(world, stubs)
    try:
        plane.sync()
        # Connected before there is a policy that could refuse that.
        denied = target.client.stream(
            name="denied", protocol="udp", target=B[4], port=SINK_PORT)
        ident = take_over(plane, world, target, cidrs=["10.20.0.0/16"])
        policies = [
            plane.bulk(["10.20.0.0/16", "10.30.0.0/16",
                        plane.rule(B[4], "DENY")]),
            plane.bulk(["10.20.0.0/16", "10.40.0.0/16", "10.50.0.1"]),
        ]
        with running_stream(target) as arrived:
            exchange(plane, ident, policies, 2, 20)
            passed = len(world.network.b.sunk(port=denied[1]))
            began = tries(target)
            before_kb = memory_kb(world)
            turns = exchange(plane, ident, policies, 22, TURNS)
            # However fast they went: it is the tries that prove something.
            while tries(target) - began <= 1000:
                turns += exchange(plane, ident, policies, 22 + turns, 20)
                assert turns < 20 * TURNS, "the denied flow does not try"
            mark = sent(target)
            until(lambda: arrived()[-1] > mark, "the stream goes on")
            assert gaps(arrived()) == []
            target.client.stop(name="denied")
            assert len(world.network.b.sunk(port=denied[1])) == passed
        assert memory_kb(world) - before_kb < 20 * 1024
        kernel_becomes(world, {"10.20.0.0/16": 1, "10.40.0.0/16": 1,
                               "10.50.0.1/32": 1})
        assert target.show()["state"] == "enforced"
    finally:
        plane.close()


def tries(target):
    return sum(target.client.streaming(name="denied").values())


def exchange(plane, ident, policies, revision, turns):
    """In windows, so that updates also meet in the queue."""
    window = 20
    for at in range(0, turns, window):
        sent_ids = [plane.send(ident, revision + at + i,
                               bulk_update=policies[i % 2])
                    for i in range(window)]
        results = [plane.result(command_id, limit_s=30)
                   for command_id in sent_ids]
        assert all(result.success and not result.repeated
                   for result in results)
    return turns
