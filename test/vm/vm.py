#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Boots Debian's kernels in emulated machines, runs the chosen tests in them
and writes what came of each to a file, one JSON object a line. See README.md."""

import argparse
import json
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import image
import kernels

BOOT_LIMIT_S = 90
# Of one machine, and of all of them.
LIMIT_S = 600
TOTAL_LIMIT_S = 840
# A machine is started only if this much of what the last one took is left.
ROOM = 1.2
TAIL_LINES = 60
MEMORY_MB = 1024
CPUS = 2
# With these two, 6.12 crashed in its memory allocator under qemu 7.2 (2 of 2
# starts, and none without).
CPU = "max,cx16=off,la57=off"
# A panic, and an oops too, ends the machine at once; no reboot. The timer of a
# busy emulator comes too late for the kernel's test of it, which would panic.
COMMAND_LINE = ("console=ttyS0 quiet panic=-1 oops=panic no_timer_check "
                "mitigations=off random.trust_cpu=on "
                "lsm=landlock,lockdown,yama,bpf")


class Report:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")

    def add(self, kernel, name, outcome, text=""):
        self.file.write(json.dumps({"name": f"{kernel}:{name}",
                                    "outcome": outcome, "text": text}) + "\n")
        self.file.flush()


def tail(path):
    text = path.read_text(errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def qemu(tree, disk, initramfs, folder):
    release = kernels.release_of(tree)
    # What a killed harness leaves is killed with it.
    return ["setpriv", "--pdeathsig", "KILL", "--",
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", CPU,
            "-m", str(MEMORY_MB), "-smp", str(CPUS), "-display", "none",
            "-monitor", "none", "-nodefaults", "-no-user-config", "-no-reboot",
            "-serial", f"file:{folder}/console",
            "-serial", f"file:{folder}/results",
            "-drive", f"file={disk},if=virtio,format=raw,snapshot=on",
            "-kernel", str(tree / "boot" / f"vmlinuz-{release}"),
            "-initrd", str(initramfs), "-append", COMMAND_LINE]


def boot(command, folder, limit_s):
    """What was wrong with the machine, if it did not end by itself."""
    results = folder / "results"
    results.touch()
    started = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as machine:
        try:
            while True:
                try:
                    machine.wait(1)
                    said = machine.stderr.read().strip()
                    return f"qemu: {said}" if machine.returncode else ""
                except subprocess.TimeoutExpired:
                    pass
                took_s = time.monotonic() - started
                if took_s > limit_s:
                    return f"no end within {limit_s:.0f} s"
                if took_s > BOOT_LIMIT_S and not results.stat().st_size:
                    return f"no test began within {BOOT_LIMIT_S} s"
        finally:
            machine.kill()


def run_kernel(kernel, tree, disk, folder, limit_s, report):
    initramfs = image.make_initramfs(tree, folder)
    trouble = boot(qemu(tree, disk, initramfs, folder), folder, limit_s)
    ended = False
    lines = (folder / "results").read_text(errors="replace").splitlines()
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            trouble = trouble or f"broken line of results: {line[:80]}"
            continue
        ended = ended or "end" in row
        if "kernel" in row:
            print(f"vm: Linux {row['kernel']}", flush=True)
        if "outcome" in row:
            report.add(kernel.name, row["name"], row["outcome"], row["text"])
    if trouble or not ended:
        report.add(kernel.name, "machine", "failed",
                   (trouble or "ended before its tests did") +
                   "\nend of its console:\n" + tail(folder / "console"))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=image.ROOT / "build")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("kernels", nargs="*", metavar="kernel",
                        help="of: " + " ".join(kernel.name for kernel in
                                               kernels.KERNELS))
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    return arguments


def run_kernels(chosen, build, report):
    end = time.monotonic() + TOTAL_LIMIT_S
    cache = build / "vm"
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob("run-*"):
        shutil.rmtree(left)  # of a run that was killed
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache) as scratch:
        disk = image.make_disk(build, Path(scratch))
        took_s = 0
        for kernel in chosen:
            without = "failed" if kernel.required else "skipped"
            try:
                tree = kernels.fetch(kernel, cache)
            except (kernels.Unavailable, subprocess.TimeoutExpired) as error:
                report.add(kernel.name, "kernel", without,
                           f"not to be had: {error}")
                continue
            left_s = end - time.monotonic()
            if left_s < took_s * ROOM:
                report.add(kernel.name, "machine", without,
                           f"{left_s:.0f} s are left of {TOTAL_LIMIT_S} s, and "
                           f"the machine before took {took_s:.0f} s")
                continue
            folder = Path(scratch) / kernel.name
            folder.mkdir()
            started = time.monotonic()
            run_kernel(kernel, tree, disk, folder, min(LIMIT_S, left_s), report)
            took_s = time.monotonic() - started
            shutil.copy(folder / "console", cache / f"{kernel.name}.console")


def main():
    arguments = parse_arguments()
    report = Report(arguments.report)
    if platform.machine() != "x86_64":
        report.add("all", "machine", "skipped",
                   "only x86_64 is emulated, this is " + platform.machine())
        return
    run_kernels([kernel for kernel in kernels.KERNELS
                 if kernel.name in arguments.kernels or not arguments.kernels],
                arguments.build, report)


if __name__ == "__main__":
    main()
