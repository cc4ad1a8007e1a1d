# SPDX-License-Identifier: Apache-2.0
"""Policy from afar: the control plane's time from a command to its result, when
the kernel enforces what it says and the state file has it."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from api import make_stubs
from report import Target

PORT = 7443
CONFIG = f"""
control:
  urls: ["http://127.0.0.1:{PORT}"]
  insecure: true
  reconnect_min: 100ms
  reconnect_max: 200ms
"""


def bench_stream(report, world, _, quick):
    world.config.write_text(CONFIG)
    with tempfile.TemporaryDirectory() as folder:
        make_stubs(folder)
        with subprocess.Popen(
                [*world.in_cgroup("daemons"), *world.network.enter("router"),
                 "setpriv", "--pdeathsig=KILL", sys.executable,
                 str(Path(__file__).with_name("stream_plane.py")), folder,
                 f"127.0.0.1:{PORT}", "20" if quick else "200"], text=True,
                stdout=subprocess.PIPE) as plane:
            if plane.stdout.readline() != "ready\n":
                raise RuntimeError("the control plane did not start")
            world.kill_cp()
            world.start_cp()
            world.attach("w0")
            found = json.loads(plane.stdout.read() or "null")
    if not found:
        raise RuntimeError("wrong: the control plane was refused")
    report.add("stream", "10,000 CIDRs from afar, to the result",
               {"sentinel": found.pop("10,000 CIDRs")}, "ms", None,
               {"sentinel": Target("p99", 100)})
    report.add("stream", "one rule from afar, to the result", found, "ms",
               None, {what: Target("median", 5) for what in
                      ("allow", "remove")})
