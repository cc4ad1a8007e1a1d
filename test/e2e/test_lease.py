# SPDX-License-Identifier: Apache-2.0
"""Lease: attachments that live as long as a stream of the API."""

import contextlib
import subprocess
import time

import grpc
import pytest

from world import until

LEASES_MAX = 32
LOOK_S = 0.5  # between looks at a cgroup whose lease broke


def lease(api, timeout=60, **fields):
    return api.stub.Lease(api.daemon.LeaseRequest(**fields), timeout=timeout)


@contextlib.contextmanager
def another_stub(api):
    """Over a connection of its own."""
    with grpc.insecure_channel(
            f"unix:{api.path}",
            options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield api.make_stub(channel)


def attach(api, target, **fields):
    kind = "cgroup_path" if str(target).startswith("/") else "interface_name"
    return api.daemon.AttachRequest(**{kind: str(target)}, **fields)


def status_of(stream):
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    return caught.value.code()


@pytest.mark.parametrize("kind", ["interface", "cgroup"])
def test_attachment_ends_with_the_stream(clean, api, kind):
    name = "w0" if kind == "interface" else clean.cgroup("leased")
    stream = lease(api, attach=attach(api, name))
    ident = next(stream).attached.id
    assert [one["id"] for one in clean.ok("list")] == [ident]
    stream.cancel()
    until(lambda: not clean.ok("list"), "it has ended")


def test_a_cgroup_with_processes_is_closed_first(clean, api):
    folder = clean.cgroup("leased")
    policy = api.make_policy(mode="DENYLIST")
    stream = lease(api, attach=attach(api, folder, policy=policy))
    ident = next(stream).attached.id
    assert clean.show(ident)["mode"] == "denylist"
    with subprocess.Popen([*clean.in_cgroup("leased"), "sleep", "1000"]) as \
            child:
        until(lambda: str(child.pid) in (folder / "cgroup.procs").read_text(),
              "it is there")
        stream.cancel()
        until(lambda: clean.show(ident)["mode"] == "block-all", "it is closed")
        child.kill()
    until(lambda: not clean.ok("list"), "it has ended")


@contextlib.contextmanager
def left_behind(world, api, dp_is_away=False, **fields):
    """A lease that breaks while its cgroup has a process: id, folder, child."""
    folder = world.cgroup("leased")
    policy = api.make_policy(mode="DENYLIST")
    stream = lease(api, attach=attach(api, folder, policy=policy))
    ident = next(stream).attached.id
    with subprocess.Popen([*world.in_cgroup("leased"), "sleep", "1000"]) as \
            child:
        until(lambda: str(child.pid) in (folder / "cgroup.procs").read_text(),
              "it is there")
        if dp_is_away:
            world.kill_dp()
        try:
            stream.cancel()
            yield ident, folder, child
        finally:
            child.kill()


def test_closing_waits_for_the_dataplane(clean, api):
    with left_behind(clean, api, dp_is_away=True) as (ident, _, child):
        # Over the same connection, so it comes after the break.
        assert not api.call("GetStatus").dataplane.connected
        clean.start_dp()
        clean.wait_connected()
        until(lambda: clean.show(ident)["mode"] == "block-all", "it is closed")
        child.kill()
        until(lambda: not clean.ok("list"), "it has ended")


def test_a_cgroup_that_cannot_be_read_is_not_taken_for_empty(clean, api):
    with left_behind(clean, api) as (ident, folder, child):
        (folder / "cgroup.events").chmod(0)
        until(lambda: clean.show(ident)["mode"] == "block-all", "it is closed")
        looked_at_s = time.monotonic() + 3 * LOOK_S
        while time.monotonic() < looked_at_s:
            assert clean.show(ident)["mode"] == "block-all"
        (folder / "cgroup.events").chmod(0o444)
        child.kill()
        until(lambda: not clean.ok("list"), "it has ended")


def test_deadline_is_a_break(interface, api):
    stream = lease(api, timeout=4, attach=attach(api, "w0"))
    next(stream)
    assert status_of(stream) == grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: not interface.world.ok("list"), "it has ended")


def test_detach_ends_the_stream(interface, api):
    stream = lease(api, attach=attach(api, "w0"))
    interface.world.ok("detach", next(stream).attached.id)
    assert status_of(stream) == grpc.StatusCode.NOT_FOUND


def test_target_that_goes_ends_the_stream(box, api):
    path = box.world.cgroup("short")
    stream = lease(api, attach=attach(api, path))
    next(stream)
    path.rmdir()
    assert status_of(stream) == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_restart_keeps_it_for_a_new_stream(interface, api, how):
    world = interface.world
    stream = lease(api, attach=attach(api, "w0"))
    ident = next(stream).attached.id
    if how == "stop":
        world.stop(world.cp)
    else:
        world.kill_cp()
    assert status_of(stream) == grpc.StatusCode.UNAVAILABLE
    world.start_cp()
    assert world.show(ident)["mode"] == "allowlist"
    with another_stub(api) as stub:
        request = api.daemon.LeaseRequest(id=ident)
        again = stub.Lease(request, timeout=60)
        assert next(again).attached.id == ident
        other = stub.Lease(request, timeout=60)
        assert status_of(other) == grpc.StatusCode.FAILED_PRECONDITION
        again.cancel()
        until(lambda: not world.ok("list"), "it has ended")


def test_bad_requests_are_refused(interface, api):
    for code, fields in (
            ("INVALID_ARGUMENT", {}),
            ("INVALID_ARGUMENT", {"id": "xyz"}),
            ("INVALID_ARGUMENT", {"id": "0" * 32,
                                  "attach": attach(api, "w0")}),
            ("INVALID_ARGUMENT", {"attach": attach(api, "a/b")}),
            ("NOT_FOUND", {"id": "0" * 32}),
            ("NOT_FOUND", {"attach": attach(api, "no-such-if")})):
        assert status_of(lease(api, **fields)) == \
            getattr(grpc.StatusCode, code), fields
    assert not interface.world.ok("list")


def test_leases_are_bounded_and_given_back(box, api):
    streams = []
    with contextlib.ExitStack() as stack:
        for i in range(LEASES_MAX):
            if i % 8 == 0:
                stub = stack.enter_context(another_stub(api))
            stream = stub.Lease(api.daemon.LeaseRequest(attach=attach(
                api, box.world.cgroup(f"many{i}"))), timeout=60)
            next(stream)
            streams.append(stream)
        over = lease(api, attach=attach(api, "w0"))
        assert status_of(over) == grpc.StatusCode.RESOURCE_EXHAUSTED
        for stream in streams:
            stream.cancel()
        until(lambda: not box.world.ok("list"), "all have ended")
    stream = lease(api, attach=attach(api, "w0"))
    next(stream)
    stream.cancel()
    until(lambda: not box.world.ok("list"), "it has ended")
    for i in range(LEASES_MAX):
        box.world.cgroup(f"many{i}").rmdir()
