# SPDX-License-Identifier: Apache-2.0
"""sentinelctl top in a real terminal (tmux), and where there is none."""

import contextlib
import json
import os
import re
import subprocess

import pytest
import yaml

import world as worlds
from world import until

DENY = "mode: denylist\ncidrs:\n  - {deny: 10.30.0.0/16}\n"


class Terminal:
    number = 0

    def __init__(self, world, width, height, command, **environment):
        Terminal.number += 1
        self.socket = world.folder / f"tmux{Terminal.number}"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", width, "-y",
                  height, "env", f"SENTINEL_SOCKET={world.api_path}",
                  *(f"{key}={value}" for key, value in environment.items()),
                  "LC_ALL=C.UTF-8", *command)

    def tmux(self, *arguments, check=True):
        return worlds.run("tmux", "-S", self.socket, *arguments, check=check,
                          text_in="")

    def screen(self, *options):
        return self.tmux("capture-pane", "-p", *options, check=False).stdout

    def type(self, *keys):
        self.tmux("send-keys", *keys)

    def is_over(self):
        return self.tmux("list-sessions", check=False).returncode != 0

    def shows(self, pattern):
        def found():
            seen.append(self.screen())
            return re.search(pattern, seen[-1], re.MULTILINE) and seen[-1]
        seen = []
        try:
            return until(found, f"the screen shows {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{seen[-1]}") from None

    def end(self):
        self.tmux("kill-server", check=False)


@pytest.fixture
def busy(clean):
    """An interface whose traffic is in part blocked, all the time."""
    ident = clean.attach("w0", policy=DENY)
    box = clean.cgroup("calm")
    clean.attach(box, policy="mode: allowlist\n")
    code = ("import socket, time\ns = socket.socket(socket.AF_INET, "
            "socket.SOCK_DGRAM)\nwhile True:\n"
            "    s.sendto(b'x', ('10.30.0.9', 443))\n"
            "    s.sendto(b'x', ('10.20.0.9', 443))\n    time.sleep(0.02)\n")
    child = subprocess.Popen([*clean.in_cgroup("agents"),
                              *clean.network.enter("workload"),
                              worlds.sys.executable, "-c", code])

    def sends():
        shown = clean.show(ident)
        return int(shown["packets_blocked"]) > 2 and \
            int(shown["packets_allowed"]) > 2

    try:
        until(sends, "it sends")
        yield clean
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def terminal(world, width=100, height=12, options=(), **environment):
    made = Terminal(world, width, height, [str(world.bin / "sentinelctl"),
                                           "top", "--interval", "1s",
                                           *options], **environment)
    try:
        yield made
    finally:
        made.end()


def test_keys_on_a_terminal(busy):
    with terminal(busy) as term:
        text = term.shows(r"^[0-9a-f]{8} w0 .* denylist +[1-9][0-9]")
        lines = text.splitlines()
        assert re.match(r"2 attached, blocked [1-9]", lines[0])
        assert "by blocked" in lines[1] and "q quit" in lines[1]
        assert lines[2].split()[:3] == ["ID", "TARGET", "MODE"]
        assert " w0 " in lines[3] and "calm" in lines[4]
        assert "10.30.0.9 443/udp" in lines[3]
        assert max(map(len, lines)) <= 100
        term.type("s")
        term.shows("by allowed")
        term.type("s", "s")
        assert "calm" in term.shows("by target").splitlines()[3]
        term.type("/", "c", "a", "l")
        term.shows("filter: cal_")
        term.type("Enter")
        term.shows("filter cal")
        until(lambda: " w0 " not in term.screen(), "only what matches")
        term.type("/", "Escape")
        term.shows(" w0 ")
        term.type("p")
        paused = term.shows("PAUSED")
        busy.attach(busy.cgroup("later"), policy="mode: allowlist\n")
        assert "later" not in paused
        term.type("p")
        term.shows("later")
        term.type("q")
        until(term.is_over, "it has ended")


@pytest.mark.parametrize("width, height", [(20, 6), (1, 1), (5, 3), (40, 4),
                                           (300, 50)])
def test_terminals_of_any_size(busy, width, height):
    with terminal(busy, width, height) as term:
        if width >= 20:
            term.shows(r"w0")
        if width == 20:
            text = term.shows(r"^w0 +[1-9]\S* +[1-9]\S*$")
            assert max(map(len, text.splitlines())) <= 20
        term.tmux("resize-window", "-x", "80", "-y", "10", check=False)
        term.shows(r"^[0-9a-f]{8} w0")
        term.type("q")
        until(term.is_over, "it has ended")


def test_daemon_that_goes_and_comes_back(busy):
    with terminal(busy) as term:
        term.shows(" w0 ")
        busy.kill_cp()
        term.shows("NOT CURRENT")
        busy.start_cp()
        term.shows("by blocked")


def test_colours_are_off_with_no_color(busy):
    with terminal(busy) as term:
        term.shows(r"denylist +[1-9][0-9]")
        assert "\x1b[31m" in term.screen("-e")
    with terminal(busy, NO_COLOR="1") as term:
        term.shows(r"denylist +[1-9][0-9]")
        assert not re.search("\x1b\\[[0-9;]*3[0-7]m", term.screen("-e"))


def test_dumb_terminal_gets_text(busy):
    with terminal(busy, 140, 40, TERM="dumb") as term:
        text = term.shows(r"^[0-9a-f]{8} w0 ")
        assert "q quit" not in text


def test_pipe_gets_text(busy):
    answer = busy.ctl("top", "--interval", "1s", "--count", "2")
    assert answer.code == 0 and "\x1b" not in answer.out
    blocks = answer.out.strip().split("\n\n")
    assert len(blocks) == 2
    for block in blocks:
        assert re.search(r"2 attached, blocked [1-9]", block)
        assert re.search(r"^[0-9a-f]{8} w0 .*10.30.0.9 443/udp$", block,
                         re.MULTILINE)


def test_json_lines(busy):
    answer = busy.ctl("top", "--interval", "1s", "--count", "1", "-o", "json")
    row = {one["target"]: one for one in
           json.loads(answer.out)["attachments"]}["w0"]
    assert 10 < row["blocked"] < 60 and 10 < row["allowed"] < 120
    assert row["last_blocked"] == "10.30.0.9 443/udp"


def test_yaml_documents(busy):
    answer = busy.ctl("top", "--interval", "1s", "--count", "2", "-o", "yaml")
    samples = list(yaml.safe_load_all(answer.out))
    assert len(samples) == 2 and "{" not in answer.out
    for sample in samples:
        row = {one["target"]: one for one in sample["attachments"]}["w0"]
        assert 10 < row["blocked"] < 60 and 10 < row["allowed"] < 120
        assert row["last_blocked"] == "10.30.0.9 443/udp"


def test_reader_that_goes_away_ends_it(busy):
    with subprocess.Popen([str(busy.bin / "sentinelctl"), "top", "--interval",
                           "1s"], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE,
                          env={"SENTINEL_SOCKET": str(busy.api_path),
                               "PATH": os.environ["PATH"]}) as child:
        child.stdout.readline()
        child.stdout.close()
        assert child.wait(timeout=10) != 0


@pytest.mark.parametrize("options, text", [
    (["--sort", "size"], "none of: blocked, allowed, dns, target"),
    (["--interval", "0s"], "not a duration"),
    (["--interval", "2h"], "over an hour"), (["--count", "-1"], "--count")])
def test_bad_usage(clean, options, text):
    answer = clean.ctl("top", *options)
    assert answer.code == 2 and text in answer.err
