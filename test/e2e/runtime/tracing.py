# SPDX-License-Identifier: Apache-2.0
"""A process that does as it is told in a cgroup of its own, and readers of what
is told of it."""

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import world as worlds
from runtime_worker import COMMAND, Worker

# Of sentinel-dp.
SMALL = ["--runtime", "--runtime-ring-bytes", str(1 << 20), "--runtime-match",
         "4096", "--runtime-sums", "1024", "--runtime-subjects", "1024"]


class Work(Worker):
    """runtime_work.py in a cgroup of its own."""

    def __init__(self, world, name, user=0):
        self.folder = world.cgroup(name)
        self.cgroup = "/" + str(self.folder.relative_to(worlds.cgroup_mount()))
        super().__init__([*world.in_cgroup(name), "setpriv", f"--reuid={user}",
                          f"--regid={user}", "--clear-groups", *COMMAND])


def dumped(pid):
    """What a core of the process would have: memory that no file backs."""
    found = []
    tasks = Path(f"/proc/{pid}/task")
    os.kill(pid, signal.SIGSTOP)
    worlds.until(lambda: all(") T " in task.read_text()
                             for task in tasks.glob("*/stat")), "it stands still")
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            place, access, _, _, inode, *name = line.split()
            if access.startswith("rw") and inode == "0" and \
                    name not in (["[vvar]"], ["[vsyscall]"]):
                start, end = (int(one, 16) for one in place.split("-"))
                memory.seek(start)
                found.append(memory.read(end - start))
    os.kill(pid, signal.SIGCONT)
    return b"".join(found)


class Trace:
    """sentinelctl trace -o json, read as it comes."""

    def __init__(self, world, *options, until="watching"):
        self.seen = []
        self.condition = threading.Condition()
        self.child = subprocess.Popen(
            [str(world.bin / "sentinelctl"), "trace", "-o", "json",
             *map(str, options)], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"SENTINEL_SOCKET": str(world.api_path)})
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        self.wait(until)

    def read(self):
        for line in self.child.stdout:
            with self.condition:
                self.seen.append(json.loads(line))
                self.condition.notify_all()
        with self.condition:
            self.seen.append({"event": "end"})
            self.condition.notify_all()

    def find(self, name, **fields):
        return [one for one in self.seen if one["event"] == name and all(
            one[key] == value for key, value in fields.items())]

    def wait(self, name, count=1, limit_s=worlds.LIMIT_S, **fields):
        with self.condition:
            came = self.condition.wait_for(
                lambda: len(self.find(name, **fields)) >= count or
                self.find("end"), limit_s)
            found = self.find(name, **fields)
        assert came and len(found) >= count, \
            f"{name} {fields}: {self.seen[-5:]} {self.errors()}"
        return found

    def errors(self):
        return self.child.stderr.read() if self.child.poll() is not None else ""

    def end(self, how=15):
        if self.child.poll() is None:
            self.child.send_signal(how)
            self.child.send_signal(signal.SIGCONT)
        self.child.wait(worlds.LIMIT_S)
        self.thread.join(worlds.LIMIT_S)
        said = self.child.stderr.read()
        self.child.stdout.close()
        self.child.stderr.close()
        return said
