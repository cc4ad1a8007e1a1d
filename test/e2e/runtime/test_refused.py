# SPDX-License-Identifier: Apache-2.0
"""Rules that do not come into force: whoever asked for them is told why, and those
before go on."""

import signal

import pytest

import world as worlds
from runtime_worker import text
from tracing import Work

CWD = -100
OPTIONS = ["--runtime-match", "64"]
RULE = """\
  rules:
    - name: watched
      events: [file_open]
      match:
        path_prefixes: ["/watched"]
"""
CONFIG = RULE
# One value each: more than there is room for, and less.
HUGE = [word for i in range(64) for word in ("--path", f"/huge/{i}")]


def state(world):
    return world.ok("status")["runtime"]["state"]


def reload(world, config):
    """config: the section `runtime`."""
    world.config.write_text(worlds.QUICK + "runtime:\n" + config)
    world.cp.send_signal(signal.SIGHUP)


@pytest.fixture
def plain(clean):
    """The configuration's rule is in force, before and after."""
    def is_plain():
        runtime = clean.ok("status")["runtime"]
        return runtime["state"] == "in-force" and runtime["rules"] == 1
    worlds.until(is_plain, "its own rules are in force")
    yield clean
    clean.ensure_daemons()
    reload(clean, "  enabled: true\n" + CONFIG)
    worlds.until(is_plain, "its own rules are in force again")


def opened(work, path):
    return work.do("openat", CWD, text(path), 0, 0)


def count_state(world, name):
    """Of the metrics; None: there is no such line."""
    page = worlds.run(*world.network.enter("router"), "curl", "-sS",
                      "http://127.0.0.1:9102/metrics").stdout
    line = f'sentinel_runtime_state{{state="{name}"}} '
    return next((one.removeprefix(line) for one in page.splitlines()
                 if one.startswith(line)), None)


def test_a_reader_for_whom_there_is_no_room_is_told(plain, work, trace):
    seen = trace()
    kept = trace("--event", "file_open", "--cgroup", work.folder, "--path",
                 "/kept")
    answer = plain.ctl("trace", "--event", "file_open", *HUGE)
    assert answer.code != 0 and "--runtime-match" in answer.err, answer
    # Neither the rules of others nor those that come next pay for it.
    worlds.until(lambda: state(plain) == "in-force", "what is left is in force")
    opened(work, "/kept/none")
    opened(work, "/watched/none")
    assert kept.wait("file_open")[0]["file"]["path"] == "/kept/none"
    assert seen.wait("file_open")[0]["rules"] == ["watched"]
    assert len(kept.find("file_open")) == 1


def test_a_configuration_that_has_no_room_is_told_everywhere(plain, work,
                                                              trace):
    seen = trace()
    paths = ", ".join(f"/huge/{i}" for i in range(64))
    reload(plain, "  enabled: true\n" + RULE + f"""\
    - name: huge
      events: [file_open]
      match:
        path_prefixes: [{paths}]
""")
    worlds.until(lambda: state(plain) == "refused", "it is refused")
    status = plain.ok("status")
    assert "--runtime-match" in status["runtime"]["error"]
    assert any("not in force" in one for one in status["warnings"])
    worlds.until(lambda: count_state(plain, "refused") == "1", "a metric says it")
    assert "--runtime-match" in plain.log()
    opened(work, "/huge/1/none")
    opened(work, "/watched/none")
    assert all(one["rules"] == ["watched"] for one in seen.wait("file_open"))
    # Readers come too late, and hear it.
    answer = plain.ctl("trace", "--event", "file_open", "--path", "/late")
    assert answer.code != 0 and "--runtime-match" in answer.err, answer


def test_a_reader_hears_that_the_dataplane_is_away(plain, work, trace):
    plain.kill_cp()
    plain.kill_dp()
    plain.start_cp()
    seen = trace("--event", "file_open", "--cgroup", work.folder,
                 until="waiting")
    assert "away" in seen.find("waiting")[0]["error"]
    assert not seen.find("watching")
    plain.start_dp()
    seen.wait("watching")
    opened(work, "/none")
    assert seen.wait("file_open")[0]["file"]["path"] == "/none"


@pytest.mark.parametrize("how", ["options", "configuration"])
def test_readers_end_when_there_are_no_events_any_more(plain, work, trace, how):
    seen = trace("--event", "file_open", "--cgroup", work.folder)
    if how == "options":
        plain.kill_dp()
        plain.start_dp(options=[])
        plain.wait_connected()
    else:
        reload(plain, "  enabled: false\n" + RULE)
    seen.wait("end")
    assert "there are no runtime events" in seen.end()
    assert seen.child.returncode != 0
    if how == "options":
        plain.kill_dp()
        plain.start_dp()


def test_a_cgroup_whose_path_is_another_one_here_is_refused(plain, work):
    """In a namespace of cgroups the kernel tells other paths than the mount
    shows."""
    plain.kill_cp()
    plain.start_cp(prefix=[
        "unshare", "--cgroup", "--mount", "sh", "-c",
        'umount -l "$0" && mount -t cgroup2 none "$0" && exec "$@"', worlds.cgroup_mount(),
        "setpriv"])
    reload(plain, "  enabled: true\n" + RULE + """\
    - name: inside
      events: [file_open]
      match:
        cgroups: ["/"]
""")
    worlds.until(lambda: state(plain) == "refused", "it is refused")
    error = plain.ok("status")["runtime"]["error"]
    assert "'inside'" in error and "hierarchy of cgroups" in error
    answer = plain.ctl("trace", "--cgroup", work.folder)
    assert answer.code != 0 and "hierarchy of cgroups" in answer.err, answer
    plain.kill_cp()


def test_a_cgroup_deeper_than_the_kernel_looks_is_refused(plain):
    plain.config.write_text(worlds.QUICK + "runtime:\n  enabled: true\n" +
                            RULE + "        cgroups: [/" + "a/" * 15 + "a]\n")
    done = worlds.run(plain.bin / "sentinel-cp", "--check-config", "--config",
                      plain.config, check=False)
    assert done.returncode == 2 and "at most 15 parts" in done.stderr


def test_a_cgroup_as_deep_as_the_kernel_looks_is_watched(plain, trace):
    """With those below it, which cannot be named themselves."""
    above = len(plain.cgroups.relative_to(worlds.cgroup_mount()).parts)
    folders = [plain.cgroups.joinpath(*["a"] * (count + 1))
               for count in range(15 - above + 1)]
    folders[-1].mkdir(parents=True)
    work = Work(plain, folders[-1].relative_to(plain.cgroups))
    try:
        seen = trace("--event", "file_open", "--cgroup", folders[-2])
        opened(work, "/none")
        assert seen.wait("file_open")[0]["file"]["path"] == "/none"
        answer = plain.ctl("trace", "--cgroup", folders[-1])
        assert answer.code != 0 and "at most 15 parts" in answer.err, answer
    finally:
        work.end()
        for folder in reversed(folders):
            folder.rmdir()
