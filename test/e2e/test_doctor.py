# SPDX-License-Identifier: Apache-2.0
"""sentinelctl doctor and features: what they say is so, whatever runs."""

import os
import subprocess

import pytest
import yaml

import world as worlds


@pytest.fixture
def doctor(clean):
    config = clean.folder / "doctor.yaml"
    config.write_text('dns:\n  upstreams: ["127.0.0.1:5399"]\n')

    def call(*arguments, **environment):
        done = subprocess.run(
            [*clean.network.enter("router"), str(clean.bin / "sentinelctl"),
             "doctor", "--config", str(config), *arguments], text=True,
            capture_output=True, timeout=60,
            env={"SENTINEL_SOCKET": str(clean.api_path),
                 "PATH": os.environ["PATH"], **environment})
        return worlds.Answer(done)

    call.config = config
    return call


def by_subject(answer):
    found = {}
    for one in answer.json:
        found.setdefault(one["subject"], []).append(one)
    return found


def test_all_is_well_but_what_is_not_there(doctor):
    found = by_subject(doctor("-o", "json"))
    for subject in ("kernel", "BTF", "bpffs", "cgroup2", "user", "group",
                    "sentinel-dp", "sentinel-cp", "API", "link", "hooks",
                    "control plane", "configuration"):
        assert [one["result"] for one in found[subject]] == ["ok"], subject
    for name in ("sentinel0", "sentinel1"):
        assert found[name][0]["result"] == "warn"
        assert "sentinel-netdev" in found[name][0]["next"]
    assert found["name server"][0]["result"] == "warn"


def test_warnings_do_not_fail(doctor):
    answer = doctor()
    assert answer.code == 0, answer
    assert answer.out.splitlines()[-1].endswith(" 0 fail")
    assert "\x1b" not in answer.out


@pytest.mark.parametrize("environment, has_colours", [
    ({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": ""}, True),
    ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False),
    ({}, False)])
def test_colours_are_for_terminals(clean, environment, has_colours):
    near, far = os.openpty()
    with subprocess.Popen(
            [str(clean.bin / "sentinelctl"), "doctor"], stdout=far,
            stdin=subprocess.DEVNULL, env={
                "SENTINEL_SOCKET": str(clean.api_path),
                "PATH": os.environ["PATH"], **environment}) as child:
        os.close(far)
        text = b""
        while b" fail\r\n" not in text:
            text += os.read(near, 4096)
        child.wait(timeout=30)
    os.close(near)
    assert b"kernel" in text
    assert (b"\x1b[32mok" in text) == (b"\x1b" in text) == has_colours, text


def test_dead_daemon_is_told(doctor, clean):
    clean.kill_dp()
    worlds.until(lambda: clean.ctl("status").code == 1, "cp has noticed")
    answer = doctor("-o", "json")
    assert answer.code == 1
    assert by_subject(answer)["link"][0]["result"] == "fail"
    clean.start_dp()


def test_it_works_when_nothing_runs(doctor):
    answer = doctor("-o", "json", SENTINEL_SOCKET="/nonexistent/api.sock")
    assert answer.code == 1
    api, = by_subject(answer)["API"]
    assert api["result"] == "fail" and "start sentinel-cp" in api["next"]


def test_yaml_has_the_same(doctor):
    as_json, as_yaml = (doctor("-o", form) for form in ("json", "yaml"))
    assert not as_yaml.out.startswith("[")
    assert yaml.safe_load(as_yaml.out) == as_json.json


def test_bytes_of_no_text_leave_the_json_whole(doctor):
    answer = doctor("-o", "json", SENTINEL_SOCKET="/nonexistent/\udcff")
    api, = by_subject(answer)["API"]
    assert "/nonexistent/?" in api["text"], api


def test_bad_configuration_is_told_with_its_line(doctor):
    doctor.config.write_text("dns:\n  upstream: []\n")
    one, = by_subject(doctor("-o", "json"))["configuration"]
    assert one["result"] == "fail" and "doctor.yaml:2" in one["text"]


def test_program_of_others_on_our_hook_is_told(doctor, clean, tmp_path):
    source, program = tmp_path / "x.c", tmp_path / "x.o"
    source.write_text('__attribute__((section("cgroup/skb"), used)) int '
                      'stranger(void *c) { return 1; }\n'
                      'char l[] __attribute__((section("license"), used)) = '
                      '"GPL";\n')
    worlds.run("clang", "-target", "bpf", "-O2", "-g", "-c", source, "-o",
               program)
    box = clean.cgroup("strange")
    pin = worlds.BPFFS / (clean.tag + "-stranger")
    worlds.run("/usr/sbin/bpftool", "prog", "load", program, pin, "type",
               "cgroup/skb")
    try:
        worlds.run("/usr/sbin/bpftool", "cgroup", "attach", box, "egress",
                   "pinned", pin, "multi")
        clean.attach(box)
        texts = [one["text"] for one in
                 by_subject(doctor("-o", "json"))["hooks"]]
        assert len(texts) == 1 and "'stranger'" in texts[0], texts
        assert str(box) in texts[0]
        worlds.run("/usr/sbin/bpftool", "cgroup", "detach", box, "egress",
                   "pinned", pin)
    finally:
        pin.unlink()


def test_features_are_those_of_the_status(clean):
    features = clean.ok("features")
    status = clean.ok("status")
    events = [{"name": "runtime/" + one["event"], "state": one["state"],
               "reason": one["reason"]}
              for one in status["runtime"]["events"] if one["event"]]
    assert features == status["features"] + events
    assert all(one["state"] == "full" or one["reason"] for one in features)
    lines = clean.ctl("features").out.splitlines()
    assert lines[0].split() == ["FEATURE", "STATE", "REASON"]
    assert len(lines) == 1 + len(features)
