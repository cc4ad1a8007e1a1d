# SPDX-License-Identifier: Apache-2.0
"""The test's end of a detector (peer.py), and of what makes events for it."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import world as worlds

HERE = Path(__file__).resolve().parent
PORT = 7444
# Many processes and a lot of data, on a machine that may be busy.
LIMIT_S = 900 if "SN_SOAK" in os.environ else 120
LEDGER = ("dropped_queue", "dropped_spool", "dropped_disk",
          "dropped_unanswered", "dropped_memory")
RING_BYTES = 16 << 20
OPTIONS = ["--runtime", "--runtime-ring-bytes", str(RING_BYTES),
           "--runtime-match", "4096", "--runtime-sums", "1024",
           "--runtime-subjects", "1024"]
# Known before the daemons are, and searched by everybody.
PLACE = Path(tempfile.gettempdir()) / f"{worlds.TAG}-{os.getpid()}-detector"
# Short pauses, so that a test sees in seconds what takes minutes outside.
TIMERS = """\
    reconnect_min: 20ms
    reconnect_max: 100ms
    keepalive: 1s
    keepalive_timeout: 5s
"""


def configure(text, url=f"http://127.0.0.1:{PORT}", insecure="true",
              events="[file_open]"):
    """The configuration with one detector, and text as the rest of it."""
    return worlds.QUICK + f"""\
runtime:
  enabled: true
  budget: {{rate: 0}}
detectors:
  - name: peer
    url: {url}
    insecure: {insecure}
    events: {events}
    match: {{path_prefixes: [{PLACE}/watched]}}
{TIMERS}{text}"""


def until(condition, what, pause_s=0.01):
    return worlds.until(condition, what, LIMIT_S, pause_s)


class Events:
    """events.py; folder: where its names are, and nothing else is."""

    def __init__(self, world, folder):
        self.folder = str(folder)
        self.n = self.n_made = 0
        self.child = subprocess.Popen(
            [*world.in_cgroup("work"), sys.executable, "-I",
             str(HERE / "events.py"), self.folder], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.child.stdout.readline().strip()

    def begin(self, count):
        self.child.stdin.write(f"{count}\n")
        self.n += count

    def wait(self):
        while self.n_made < self.n:
            self.n_made = int(self.child.stdout.readline())

    def make(self, count):
        self.begin(count)
        self.wait()

    def make_all(self, world, count, at_once=2000):
        """As fast as they are taken: what the kernel's ring has no room for
        is not the detector's."""
        before = status(world)["accepted"]
        for made in range(at_once, count + at_once, at_once):
            self.make(at_once)
            until(lambda: (found := status(world))["accepted"] >=
                  before + made and found["in_memory"] + found["on_disk"] <
                  at_once // 2, "they are taken")

    def names(self):
        return [f"{self.folder}/{i:08}" for i in range(self.n)]

    def end(self):
        self.child.stdin.close()
        self.child.wait(LIMIT_S)
        self.child.stdout.close()


class Peer:
    """A detector that can be killed and started again; what it got is kept."""

    def __init__(self, world, stubs, out, *options, port=PORT):
        self.world = world
        self.out = out
        self.command = [sys.executable, str(HERE / "peer.py"), "--stubs",
                        str(stubs), "--out", str(out), "--listen",
                        f"127.0.0.1:{port}", *map(str, options)]
        self.child = None
        self.streams = []
        self.n_ordered = 0
        self.read = 0
        self.lines = []
        self.start()

    def start(self):
        self.child = subprocess.Popen(
            [*self.world.in_cgroup("daemons"),
             *self.world.network.enter("router"), "setpriv",
             "--pdeathsig=KILL", *self.command], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert json.loads(self.child.stdout.readline()) == {"ready": True}
        threading.Thread(target=self.follow, args=[self.child],
                         daemon=True).start()

    def follow(self, child):
        for line in child.stdout:
            found = json.loads(line)
            if "stream" in found:
                self.streams.append(found["stream"])
            else:
                self.n_ordered += 1

    def tell(self, what):
        """What comes behind this is done as it says."""
        before = self.n_ordered
        self.child.stdin.write(json.dumps(what) + "\n")
        until(lambda: self.n_ordered > before, "the order is in force")

    def order(self, what):
        self.tell({"do": what})

    def end_reports_with(self, code):
        self.tell({"reports": code})

    def reports(self, folder):
        """Those of events there so far, each as often as it came."""
        lines = self.out.with_suffix(".reports").read_text().splitlines(True)
        return [one for one in map(json.loads, lines) if
                one["labels"]["filename"].startswith(str(folder) + "/")]

    def kill(self):
        self.child.kill()
        self.child.wait()

    def got(self):
        """All events so far; a line that a kill cut off was not answered."""
        if self.out.exists():
            with self.out.open("rb") as stream:
                stream.seek(self.read)
                data = stream.read()
            end = data.rfind(b"\n") + 1
            self.read += end
            for line in data[:end].splitlines():
                try:
                    self.lines.append(json.loads(line))
                except json.JSONDecodeError:
                    assert b"{" in line[1:], line
        return self.lines

    def named(self, folder):
        return [one for one in self.got() if
                one["type"] == "file_open" and
                one["name"].startswith(str(folder) + "/")]

    def end(self):
        if self.child.poll() is None:
            self.kill()
        self.child.stdin.close()


def status(world, name="peer"):
    found = [one for one in world.ok("status").get("detectors", [])
             if one["name"] == name]
    return found[0] if found else None


def dropped(state):
    return sum(state[one] for one in LEDGER)


def check_ledger(state):
    assert state["accepted"] + state["recovered"] == state["delivered"] + \
        state["in_memory"] + state["on_disk"] + dropped(state), state


def is_drained(world, name="peer"):
    state = status(world, name)
    check_ledger(state)
    return state["in_memory"] == state["on_disk"] == 0 and state


def until_drained(world, name="peer"):
    return until(lambda: is_drained(world, name), "everything is answered",
                 0.05)


def in_force(world):
    until(lambda: world.ok("status")["runtime"]["state"] == "in-force",
                 "the rules are in force")


def check_all(peer, events):
    """Nothing is missing, each event has one id, and what came first came in
    the order in which it was done. Returns how many came again."""
    got = peer.named(events.folder)
    first = {}
    for one in got:
        first.setdefault(one["id"], one["name"])
    names = list(first.values())
    twice = [name for name, count in Counter(names).items() if count > 1]
    assert not twice, f"two ids: {twice[:5]} of {len(twice)}"
    wanted = events.names()
    missing = sorted(set(wanted) - set(names))
    assert not missing, f"{len(missing)} of {len(wanted)} are missing: " \
        f"{missing[:3]} .. {missing[-3:]}"
    wrong = [i for i, name in enumerate(names) if name != wanted[i]]
    assert not wrong, f"not in order: {names[wrong[0] - 2:wrong[0] + 3]} " \
        f".. {names[wrong[-1] - 2:wrong[-1] + 3]}, {len(wrong)} in all"
    return len(got) - len(names)
