# SPDX-License-Identifier: Apache-2.0
"""The test's end of runtime_work.py, a process that makes the calls it is told
to. Who starts it says where it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

LIMIT_S = 30.0
COMMAND = [sys.executable, "-I", str(Path(__file__).with_name(
    "runtime_work.py"))]


class Worker:
    def __init__(self, command, **options):
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd="/", **options)
        self.pid = json.loads(self.child.stdout.readline())["pid"]

    def begin(self, name, *arguments):
        self.child.stdin.write(json.dumps([name, *arguments]) + "\n")
        self.child.stdin.flush()

    def result(self):
        return json.loads(self.child.stdout.readline())

    def do(self, name, *arguments):
        self.begin(name, *arguments)
        return self.result()

    def end(self):
        self.child.stdin.close()
        try:
            self.child.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


def text(value):
    """A string in the memory of the process that works."""
    return {"text": os.fsencode(value).hex()}
