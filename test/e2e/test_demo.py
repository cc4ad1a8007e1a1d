# SPDX-License-Identifier: Apache-2.0
"""`make demo` tells the truth, and leaves nothing behind, also on Ctrl-C."""

import os
import re
import signal
import subprocess

from world import BPFFS, BUILD, NETNS, ROOT, cgroup_mount, until

COMMAND = ["sh", str(ROOT / "packaging" / "demo")]
ENV = dict(os.environ, SENTINEL_BUILD=str(BUILD.resolve()))


def traces():
    """What the demo makes on the machine while it runs."""
    return [path for folder, pattern in (
        (BPFFS, "sentinel-demo-*"), (cgroup_mount(), "sentinel-demo-*"),
        (NETNS, "sentinel-demo-*")) for path in folder.glob(pattern)]


def test_demo_passes(host):
    before = set(traces())
    done = subprocess.run(COMMAND, env=ENV, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert not re.search(r"not as told", done.stdout)
    assert len(re.findall(r"^ +ok +", done.stdout, re.MULTILINE)) >= 15
    assert set(traces()) <= before


def mind_interrupts():
    """A shell starts what runs in the background with SIGINT ignored, and a
    script cannot trap what it found ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_demo_cleans_up(host):
    before = set(traces())
    with subprocess.Popen(COMMAND, env=ENV, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True,
                          preexec_fn=mind_interrupts) as child:
        for line in child.stdout:
            if re.match(r" +ok +", line):
                break
        assert set(traces()) - before
        os.killpg(child.pid, signal.SIGINT)
        child.stdout.read()
        assert child.wait(timeout=20) == 130
    until(lambda: set(traces()) <= before, "nothing is left")
