# SPDX-License-Identifier: Apache-2.0
"""The part inside a virtual machine: runs the chosen tests and writes one JSON
object a line to the serial line that it is given, a test each, then one with
`end`. What the tests print goes to the console."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
BPF_LIMIT_S = 120
PYTEST_LIMIT_S = 500
# A sample of what `make check` does: an emulated CPU is many times slower.
SETTINGS = {"SN_TEST_SETS": "20"}


def load_runner():
    """test/run is a program; its ways to run tests are used here too."""
    loader = importlib.machinery.SourceFileLoader("runner",
                                                  str(ROOT / "test/run"))
    spec = importlib.util.spec_from_loader("runner", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["runner"] = module
    loader.exec_module(module)
    return module


def chosen(kind):
    """The lines of the selection that begin with the kind."""
    for line in (HERE / "selection").read_text().splitlines():
        words = line.split("#")[0].split()
        if words and words[0] == kind:
            yield words[1]


class Report:
    def __init__(self, path):
        self.file = open(path, "w", encoding="ascii")
        self.started = time.monotonic()

    def write(self, **row):
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()

    def results(self, results):
        for result in results:
            self.write(name=f"{result.suite}:{result.name}",
                       outcome=result.outcome, text=result.text)
        print(f"guest: {time.monotonic() - self.started:.0f} s", flush=True)


def run_pytest(runner, scratch):
    report = scratch / "junit.xml"
    env = dict(os.environ, SENTINEL_BUILD=str(BUILD),
               PYTHONDONTWRITEBYTECODE="1")
    # The common fixtures need gRPC, which is not on the disk.
    command = [sys.executable, "-m", "pytest", "--noconftest", "-v", "-p",
               "no:cacheprovider", "--tb=short", "--color=no",
               f"--junit-xml={report}"]
    command += [f"test/e2e/{name}" for name in chosen("e2e")]
    try:
        status = subprocess.run(command, cwd=ROOT, env=env, check=False,
                                timeout=PYTEST_LIMIT_S).returncode
    except subprocess.TimeoutExpired:
        status = None
    results = runner.read_junit("e2e", report) if report.exists() else []
    if not results or (status and not any(result.outcome == "failed"
                                          for result in results)):
        results.append(runner.Result(
            "e2e", "pytest", "failed",
            runner.how_it_ended(status, PYTEST_LIMIT_S)))
    return results


def main():
    os.environ.update(SETTINGS)
    os.chdir(ROOT)
    report = Report(sys.argv[1])
    report.write(kernel=os.uname().release)
    runner = load_runner()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for program in chosen("bpf"):
            report.results(runner.run_check_program(
                "bpf", BUILD / "test/bpf" / program, BPF_LIMIT_S, scratch))
        report.results(run_pytest(runner, scratch))
    report.write(end=True)


if __name__ == "__main__":
    main()
