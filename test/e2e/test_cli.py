# SPDX-License-Identifier: Apache-2.0
"""sentinelctl: JSON is the API's messages, tables are for people, exit codes
and errors are the documented ones."""

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import subprocess

import grpc
import pytest

from world import PROGRAMS, run

POLICY = """
cidrs:
  - {allow: 10.20.0.0/16, ports: [443/tcp, 8000-8100/udp], ttl: 5m}
  - {deny: 10.20.9.0/24}
dns:
  domains:
    - {allow: example.com, subdomains: true, ports: [443/tcp], ttl_floor: 5m}
"""
COMMANDS = ("status", "attach", "detach", "list", "show", "rules", "mode",
            "allow", "deny", "remove", "apply", "dns-mode", "learnt", "run",
            "learn", "diff", "explain", "events", "top", "doctor", "features",
            "completion")


def keys_of(message):
    return {field.name for field in message.DESCRIPTOR.fields}


def test_json_keys_are_the_field_names(box, stubs):
    world, daemon = box.world, stubs["daemon_pb2"]
    attached = world.ok("attach", "--cgroup", box.name, "--policy",
                        world.policy_file(POLICY), "--meta", "a=b")
    box.id = attached["id"]
    assert set(attached) == keys_of(daemon.AttachResponse)
    shown = world.ok("show", box.id)
    # An enum that is not stated is left out: a cgroup has no role.
    assert set(shown) == keys_of(daemon.Attachment) - {"role"}
    listed = world.ok("list")
    assert isinstance(listed, list) and len(listed) == 1
    assert set(listed[0]) == set(shown)
    assert listed[0]["id"] == box.id
    rules = world.ok("rules", box.id)
    assert isinstance(rules, list) and len(rules) == 3
    assert set(rules[0]) == keys_of(stubs["policy_pb2"].Rule)
    assert set(rules[2]) == keys_of(stubs["policy_pb2"].DomainRule)
    assert set(world.ok("status")) == keys_of(daemon.GetStatusResponse)
    assert set(world.ok("allow", box.id, "10.30.0.0/16")) == \
        keys_of(daemon.AllowCIDRResponse)
    assert set(world.ok("deny", box.id, "10.30.0.0/16")) == \
        keys_of(daemon.DenyCIDRResponse)
    assert set(world.ok("remove", box.id, "10.30.0.0/16")) == \
        keys_of(daemon.RemoveCIDRResponse)
    assert set(world.ok("apply", box.id, world.policy_file(POLICY))) == \
        keys_of(daemon.ApplyResponse)
    assert isinstance(world.ok("mode", box.id, "block-all"), dict)
    assert isinstance(world.ok("detach", box.id), dict)


def test_json_and_api_say_the_same(box, api):
    box.attach("--meta", "a=b", policy=POLICY)
    shown = box.world.ok("show", box.id)
    item = api.call("Get", id=box.id).attachment
    for name in ("id", "target", "audit", "generation", "rules",
                 "attached_at", "dns_address", "domain_rules"):
        assert shown[name] == getattr(item, name), name
    assert shown["metadata"] == dict(item.metadata)
    assert shown["notes"] == list(item.notes)
    assert (shown["type"], shown["mode"], shown["inbound"],
            shown["state"], shown["dns_mode"], shown["dns_steering"]) == \
        ("cgroup", "allowlist", "replies", "enforced", "allowlist", "on")
    first = box.world.ok("rules", box.id)[0]
    assert (first["verdict"], first["cidr"], sorted(first["ports"]),
            first["ttl_seconds"], first["owner"]) == \
        ("allow", "10.20.0.0/16", ["443/tcp", "8000-8100/udp"], 300, "local")
    last = box.world.ok("rules", box.id)[-1]
    assert (last["verdict"], last["domain"], last["subdomains"], last["ports"],
            last["ttl_floor_seconds"], last["owner"]) == \
        ("allow", "example.com", True, ["443/tcp"], 300, "local")


def columns(text):
    lines = text.splitlines()
    assert lines and all(line == line.rstrip() for line in lines)
    return lines


def test_tables_for_people(clean, interface, box):
    interface.attach("--mode", "denylist", "--audit")
    box.attach(policy=POLICY)
    lines = columns(clean.ctl("list").out)
    assert len(lines) == 3 and lines[0].upper() == lines[0]
    assert any("denylist(audit)" in line and "w0" in line for line in lines)
    rules = columns(clean.ctl("rules", box.id).out)
    assert len(rules) == 6
    assert any("example.com" in line and "yes" in line for line in rules)
    assert any("10.20.0.0/16" in line and "443/tcp" in line and "allow" in line
               for line in rules)
    shown = columns(clean.ctl("show", box.id).out)
    assert any(box.id in line for line in shown)
    assert any(box.name in line for line in shown)
    status = clean.ctl("status")
    assert status.code == 0
    assert columns(status.out)


def test_nothing_attached_is_an_empty_list(clean):
    assert clean.ok("list") == []
    assert clean.ctl("list").code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_an_example(clean, command):
    answer = clean.ctl(command, "--help")
    assert answer.code == 0 and answer.err == ""
    assert re.search(rf"sentinelctl.* {command}\b", answer.out)
    assert "Example:" in answer.out


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_and_help(clean, program):
    for option in ("--version", "--help"):
        done = run(clean.bin / program, option)
        assert done.stdout and done.stderr == ""
    done = run(clean.bin / program, "--no-such-option", check=False)
    assert done.returncode == 2 and done.stdout == ""


def test_whole_help_names_every_command(clean):
    text = clean.ctl("--help").out
    assert all(re.search(rf"\b{command}\b", text) for command in COMMANDS)


def test_no_daemon(clean):
    path = clean.folder / "no.sock"
    for command in (("list",), ("status",), ("show", "012345")):
        answer = clean.ctl("--socket", path, *command)
        assert answer.code == 1 and answer.out == "", answer
        assert str(path) in answer.err


def test_socket_option_wins_over_the_environment(clean):
    assert clean.ctl("--socket", clean.api_path, "list").code == 0
    assert clean.ctl("--socket", "/nonexistent", "list").code == 1


@contextlib.contextmanager
def fake_daemon(stubs, path, ids):
    """An API whose ids have a prefix in common, which 128 random bits will
    not have on demand."""
    daemon = stubs["daemon_pb2"]

    class Service(stubs["daemon_pb2_grpc"].DaemonServiceServicer):
        def List(self, request, context):
            return daemon.ListResponse(attachments=[
                daemon.Attachment(id=ident, target="w0") for ident in ids
                if ident.startswith(request.id_prefix)])

        def Get(self, request, context):
            if request.id not in ids:
                context.abort(grpc.StatusCode.NOT_FOUND, "none")
            return daemon.GetResponse(
                attachment=daemon.Attachment(id=request.id))

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    stubs["daemon_pb2_grpc"].add_DaemonServiceServicer_to_server(Service(),
                                                                 server)
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


def test_ambiguous_prefix_lists_the_candidates(clean, stubs):
    ids = ["abcdef00" + "1" * 24, "abcdef01" + "2" * 24, "f" * 32]
    path = clean.folder / "fake.sock"
    with fake_daemon(stubs, path, ids):
        for command in ("show", "detach", "rules"):
            answer = clean.ctl("--socket", path, command, "abcdef")
            assert answer.code in (1, 2) and answer.out == "", answer
            assert ids[0] in answer.err and ids[1] in answer.err
            assert ids[2] not in answer.err
        answer = clean.ctl("--socket", path, "show", "abcdef01", "-o", "json")
        assert answer.code == 0
        assert json.loads(answer.out)["id"] == ids[1]


def test_relative_cgroup_path_is_made_absolute(clean):
    path = clean.cgroup("relative")
    done = run("sh", "-c", 'cd "$1" && exec "$2" --socket "$3" attach '
               "--cgroup relative -o json", "sh", path.parent,
               clean.bin / "sentinelctl", clean.api_path)
    ident = json.loads(done.stdout)["id"]
    assert clean.show(ident)["target"] == str(path)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_long_waits_are_told_on_terminals_only(box, on_terminal):
    """sentinel-cp is stopped, so that nothing answers for a while."""
    world = box.world
    near, far = os.openpty()
    with subprocess.Popen([str(world.bin / "sentinelctl"), "list"],
                          stdout=subprocess.DEVNULL, env={
                              "SENTINEL_SOCKET": str(world.api_path)},
                          preexec_fn=lambda: os.kill(world.cp.pid,
                                                     signal.SIGSTOP),
                          stderr=far if on_terminal else subprocess.PIPE) as \
            child:
        os.close(far)
        try:
            if on_terminal:
                assert b"waiting for List" in os.read(near, 100)
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    child.wait(timeout=1.5)
        finally:
            os.kill(world.cp.pid, signal.SIGCONT)
        assert child.wait(timeout=30) == 0
        if not on_terminal:
            assert child.stderr.read() == b""
    os.close(near)
