# SPDX-License-Identifier: Apache-2.0
"""What tells requests of io_uring from calls, and which of them are not seen;
each is done once in test_runtime_table.py."""

import errno
import os
import socket

import dp_host
import runtime_host as rt
from test_runtime_table import Scene, completed, requested, stage  # noqa: F401


def test_accesses_by_a_ring_and_by_calls_are_summed_apart(stage, tmp_path):  # noqa: F811
    scene = Scene(stage, tmp_path)
    fd = scene.fd()
    stage.runtime.set(rt.rule("FILE_WRITE", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    for size in (1, 2, 4):
        assert scene.work.do("write", fd, {"room": 8}, size) == size
        assert requested(scene, 23, fd, {"room": 80}, 10 * size) == 10 * size
    write, uring = rt.CALLS.index("WRITE"), rt.CALLS.index("IO_URING")
    assert [(one.args[0], one.bytes, one.flags)
            for one in stage.runtime.events()] == [
        (write, 1, rt.FIRST), (uring, 10, rt.FIRST | rt.IO_URING)]
    stage.runtime.flush()
    assert sorted((one.args[0], one.count, one.bytes, one.flags)
                  for one in stage.runtime.events()) == [
        (write, 2, 6, rt.SUMMED), (uring, 2, 60, rt.SUMMED | rt.IO_URING)]


def test_worker_of_a_ring_is_the_user_that_asked(stage, tmp_path):  # noqa: F811
    """Its own credentials are those with which it began."""
    scene = Scene(stage, tmp_path)
    fd, nobody = scene.fd(), 65534
    stage.runtime.set(rt.rule("FILE_WRITE", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    pid, status = stage.work.do("ring_as", nobody, [17, fd, 100], [17, fd, 200])
    completed(scene, -(status >> 8))
    assert [(one.tgid, one.uid) for one in stage.runtime.events()] == [
        (pid, 0), (pid, nobody)]


def test_what_a_ring_leaves_to_the_kernel_is_told_of_no_other(stage, tmp_path):  # noqa: F811
    """A request that outlives its process is ended by a thread of the kernel;
    some kernels have the process end it."""
    scene = Scene(stage, tmp_path)
    stage.runtime.set(rt.rule("NET_ACCEPT"))
    stage.runtime.read()
    server, port = scene.work.do("listen")
    pid, status = stage.work.do("ring_left", 13, server)
    completed(scene, -(status >> 8))
    scene.work.do("close", server)

    def is_over():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    dp_host.wait_for(is_over, "nothing holds the listener")
    assert {one.tgid for one in stage.runtime.events()
            if one.flags & rt.IO_URING} <= {pid}


def test_completions_without_room_are_not_seen_as_the_table_says(stage,  # noqa: F811
                                                                 tmp_path):
    scene = Scene(stage, tmp_path)
    fd = scene.fd()
    stage.runtime.set(rt.rule("FILE_WRITE", cgroup=[stage.work.cgroup_id]))
    stage.runtime.read()
    results = stage.work.do("ring_full", *[
        [17, fd, size] for size in (100, 200, 300)])
    completed(scene, results[0])
    assert results == [0, 0]
    dp_host.wait_for(lambda: os.stat(scene.file).st_size == 300, "it is done")
    assert [one.result for one in stage.runtime.events()] == [0, 0]
    # Of a ring with room that comes later, so that what was not told by now is
    # told by none.
    assert requested(scene, 17, fd, 400) == 0
    assert [one.result for one in stage.runtime.events()] == [0]
    assert all("find no room" in rt.LIMITS[hook[6]] for hook in rt.HOOKS
               if hook[4] == "io_uring_complete")
