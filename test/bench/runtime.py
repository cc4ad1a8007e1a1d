# SPDX-License-Identifier: Apache-2.0
"""Runtime events of a sentinel-dp of our own: what reaches a reader beside a
bare ring buffer, what other system calls cost, executions beside auditd, and
the size of an event. The ledger is held to what was done and what was read; a
difference breaks the section."""

import collections
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dp_host
import runtime_host as rt
import world as worlds
from report import Target

TOOLS = worlds.BUILD / "test" / "bench"
UID = 61042  # whose executions are told, by either
RATE = 1600
LIMIT_S = 2  # to take one off takes 0.1 to 0.2 here
FILE_EVENTS = [name for name in rt.EVENTS[1:] if name.startswith("FILE_")]
HOOKS = {"open": "sys_exit_openat", "memfd": "sys_exit_memfd_create",
         "ptrace": "sys_exit_ptrace"}
CLASSES = {"open": "FILE_OPEN", "memfd": "MEMFD_CREATE", "ptrace": "PTRACE"}
CONFIG = """
runtime:
  enabled: true
  budget:
    rate: 0
  output:
    path: {folder}/events
    max_size: 1GiB
  rules:
    - name: watch
      events: [process_exec]
      match:
        uids: [{uid}]
"""
FILES = """set -e
cd "$1"
for i in $2; do
	cp -r /etc copy
	grep -rlsi localhost copy >list || true
	tar -cf all.tar copy
	mkdir out
	tar -xf all.tar -C out
	chmod -R go-rwx out
	mv out/copy moved
	ln all.tar link
	rm -rf copy out moved list all.tar link
done
"""


class Traced(dp_host.Host):
    """With --runtime and no rules."""

    def __init__(self, folder):
        super().__init__(folder)
        self.tracefs = rt.mount_tracefs(folder / "tracefs")
        self.start("--tracefs", str(self.tracefs),
                   small=[*dp_host.SMALL, "--runtime"])
        self.runtime = rt.Runtime(self.connect())
        answer = self.runtime.peer.call("FDS", bytes(8))
        *others, self.ring, ledger = answer.fds
        for fd in [*others, ledger]:
            os.close(fd)

    def end(self):
        os.close(self.ring)
        super().end()
        dp_host.sh("umount", str(self.tracefs), check=False)

    def ring_words(self):
        return self.ring, self.runtime.ring.size

    def tracepoint(self, event):
        return (self.tracefs / "events/syscalls" / HOOKS[event] /
                "id").read_text().strip()

    def new_group(self, name):
        group = self.cgroup(name)
        return group, group.stat().st_ino


class Ledger:
    """Of what is done until check()."""

    def __init__(self, runtime, event):
        self.runtime, self.event = runtime, event
        self.before = self.read()

    def read(self):
        return self.runtime.counts(self.event), self.runtime.counts()

    def check(self, made, received, introduced):
        now = self.read()
        ours, whole = ({name: after[name] - before[name] for name in after}
                       for before, after in zip(self.before, now))
        fate = {name: ours[name] for name in
                ("sent", "over_budget", "ring_full", "failed")}
        if ours["generated"] != sum(fate.values()) or fate["failed"] or \
                ours["generated"] != made or ours["sent"] != received or \
                whole["sent"] != received + introduced:
            raise RuntimeError(f"wrong: made {made}, received {received} and "
                               f"{introduced}, ledger {ours} of {whole}")
        return fate


def load(host, run_tool, group, event, ms, rate=0, take=0, is_told=True):
    """What was told of so much work, with the ledger's word on it."""
    ledger = Ledger(host.runtime, CLASSES[event])
    found, = run_tool("runtime", "load", *host.ring_words(), group, event,
                      host.folder / "file", ms, rate, take, fds=[host.ring])
    found["fate"] = ledger.check(found["made"] if is_told else 0,
                                 found["received"], found["introduced"])
    return found


def bare(host, run_tool, group, event, ms, like):
    size = like["bytes"] // like["received"]
    found, = run_tool("runtime", "bare", TOOLS / "ring.bpf.o",
                      host.tracepoint(event), host.runtime.ring.size, size,
                      group, event, host.folder / "file", ms)
    if found["made"] != found["received"] + found["full"]:
        raise RuntimeError(f"wrong: of the bare ring {found}")
    return found


def race(host, run_tool, group, event, quick):
    """Both attached only while they are measured."""
    group, ident = group
    made = collections.defaultdict(list)
    ms = 100 if quick else 250
    for _ in range(2 if quick else 5):
        host.runtime.set(rt.rule(CLASSES[event], cgroup=[ident]))
        told = load(host, run_tool, group, event, ms)
        host.runtime.set()
        made["sentinel"].append(told)
        made["bare ring"].append(bare(host, run_tool, group, event, ms, told))
        made["no program"].append(load(host, run_tool, group, event, ms,
                                       is_told=False))
    return made


def bench_ring(report, host, run_tool, quick):
    group = host.new_group("load")
    (host.folder / "file").touch()
    for event, what in (("open", "file_open"),
                        ("memfd", "memfd_create"),
                        ("ptrace", "ptrace, refused")):
        made = race(host, run_tool, group, event, quick)
        for unit, of in (("records/s", "seconds"), ("records/CPU s", "cpu")):
            report.add("runtime", f"{what}, to a reader", {
                name: [one["made" if name == "no program" else "received"] /
                       one[of] for one in found]
                for name, found in made.items()}, unit, "bare ring",
                {"sentinel": Target("ratio", 0.8, least=True)}
                if of == "cpu" else None)
    bench_ledger(report, host, run_tool, group, quick)


def fill(host, run_tool, group, ms):
    """How much a reader may take a second so that twice as much can be made,
    and what came of that; a busy machine does not always make as much."""
    capacity = 200000
    for _ in range(6):
        one = load(host, run_tool, group, "open", ms, 0, capacity)
        if one["fate"]["ring_full"]:
            return capacity, one
        capacity = max(1000, int(one["made"] / one["seconds"] / 3))
    raise RuntimeError(f"the ring is never full: {one}")


def bench_ledger(report, host, run_tool, group, quick):
    """A reader that takes about half of what can be told."""
    group, ident = group
    ms = 300 if quick else 1000
    host.runtime.set(rt.rule("FILE_OPEN", cgroup=[ident]))
    capacity, twice = fill(host, run_tool, group, ms)
    found = {name: load(host, run_tool, group, "open", ms, rate, capacity)
             for name, rate in (("half its capacity", capacity // 2),
                                ("its capacity", capacity))}
    found["twice"] = twice
    host.runtime.set(rt.rule("FILE_OPEN", cgroup=[ident]),
                     budget=(10 ** 9 * 2 // capacity, 100))
    found["twice, budget of half"] = load(host, run_tool, group, "open", ms, 0,
                                          capacity)
    host.runtime.set()
    if found["half its capacity"]["fate"]["ring_full"] or \
            not found["twice, budget of half"]["fate"]["over_budget"]:
        raise RuntimeError(f"wrong: dropped what need not be: {found}")
    for part, of in (("received", "sent"), ("ring full", "ring_full"),
                     ("over budget", "over_budget")):
        report.add("runtime", f"file_open to a slow reader, {part}", {
            name: [one["fate"][of] / one["made"] * 100]
            for name, one in found.items()}, "%")


def count_links(run_tool):
    found, = run_tool("runtime", "traced")
    return found["links"]


def wait_off(run_tool, before_ns):
    """Only its cost tells when the kernel has taken a program off a tracepoint,
    grace periods after its link is gone. What is measured then is the judge."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        sample, = run_tool("runtime", "call", 10)
        if statistics.median(sample["samples"]) < 1.1 * before_ns:
            return


def bench_call(report, host, run_tool, quick):
    """Every call of everybody pays for a program of anybody on a tracepoint: a
    round in which others have some shows nothing."""
    wanted = {"no rule": 0, "one rule (file_unlink)": 3, "rule gone": 0}
    found = {name: [] for name in wanted}
    _, ident = host.new_group("other")
    for _ in range(3 if quick else 9):
        samples, is_ours = {}, True
        for name, links in wanted.items():
            if links:
                host.runtime.set(rt.rule("FILE_UNLINK", cgroup=[ident]))
            is_ours &= count_links(run_tool) == links
            sample, = run_tool("runtime", "call", 50 if quick else 100)
            is_ours &= count_links(run_tool) == links
            samples[name] = statistics.median(sample["samples"])
            if links:
                host.runtime.set()
                wait_off(run_tool, samples["no rule"])
        for name, ns in samples.items():
            if is_ours:
                found[name].append(ns)
    if not found["no rule"]:
        print("bench: no row of another system call: BPF programs of others"
              " are on tracepoints, which disturbs ratios of records too",
              file=sys.stderr)
        return
    report.add("runtime", "another system call (getppid)", found, "ns",
               "no rule", {"one rule (file_unlink)": Target("difference", 60),
                           "rule gone": Target("difference", 5)})


class Sink:
    """bench-runtime-message: makes messages as sentinel-cp does."""

    def __init__(self, host):
        self.process = subprocess.Popen(
            [str(TOOLS / "bench-runtime-message"),
             *map(str, host.ring_words()), str(host.folder / "messages")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            pass_fds=[host.ring])

    def cpu_s(self):
        return cpu_s(self.process.pid)

    def end(self):
        out, _ = self.process.communicate(timeout=dp_host.LIMIT_S)
        if self.process.returncode:
            raise RuntimeError("bench-runtime-message has failed")
        return json.loads(out)


def cpu_s(pid):
    """Of all threads, as exact as the scheduler keeps it."""
    return sum(int(path.read_text().split()[0])
               for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def group_s(group):
    return int(re.search(r"^usage_usec (\d+)", (group / "cpu.stat").read_text(),
                         re.M).group(1)) / 1e6


def make_program(path):
    """The smallest that ends at once: what is compared is what executing it
    adds, and 1,600 dynamically linked ones are a CPU by themselves."""
    path.with_suffix(".c").write_text(
        "void _start(void);\n"
        "void _start(void)\n{\n"
        "#ifdef __x86_64__\n"
        "\t__asm__ volatile(\"syscall\" : : \"a\"(60), \"D\"(0));\n"
        "#else\n"
        "\t__asm__ volatile(\"mov x8, #93\\nmov x0, #0\\nsvc #0\");\n"
        "#endif\n}\n")
    subprocess.run(["gcc", "-nostdlib", "-static", "-o", path,
                    path.with_suffix(".c")], check=True)


class Sentinel:
    """One rule: what the user executes."""

    def __init__(self, host):
        self.host = host
        self.pid = host.process.pid
        host.runtime.set(rt.rule("PROCESS_EXEC", uid=[UID]))
        self.ledger = Ledger(host.runtime, "PROCESS_EXEC")
        self.sink = Sink(host)

    def cpu_s(self):
        return {"sentinel-dp": cpu_s(self.pid), "reader": self.sink.cpu_s()}

    def wait(self, made):
        """Its reader takes what there is as it ends."""

    def end(self, made):
        told = self.sink.end()
        self.ledger.check(made, told["process_exec"][0], told["introduced"])
        self.host.runtime.set()


class Daemons:
    """Both, and a line of JSON for each in a file."""

    def __init__(self, host):
        self.folder = host.folder / f"told-{time.monotonic_ns()}"
        self.folder.mkdir()
        shutil.chown(self.folder, worlds.USER)
        self.world = worlds.World(
            dp_options=["--runtime", "--tracefs", host.tracefs],
            config=worlds.QUICK + CONFIG.format(folder=self.folder, uid=UID))

    def cpu_s(self):
        return {"both: sentinel-dp": cpu_s(self.world.dp.pid),
                "both: sentinel-cp": cpu_s(self.world.cp.pid)}

    def told(self):
        path = self.folder / "events"
        return path.read_bytes().count(b'"process_exec"') \
            if path.exists() else 0

    def wait(self, made):
        dp_host.wait_for(lambda: self.told() >= made, "all are in the file")

    def end(self, made):
        told = self.told()
        self.world.end()
        if told != made:
            raise RuntimeError(f"wrong: made {made}, in the file {told}")


class Nothing:
    def __init__(self, _):
        pass

    def cpu_s(self):
        return {}

    def wait(self, made):
        pass

    def end(self, made):
        pass


def auditctl(*words):
    done = subprocess.run(["auditctl", *words], text=True, capture_output=True,
                          check=False)
    if done.returncode:
        raise OSError(f"auditctl {' '.join(words)}: "
                      f"{(done.stderr or done.stdout).strip()}")
    return done.stdout


def audit_status():
    return {name: int(value) for name, value in re.findall(
        r"^(\w+) (\d+)$", auditctl("-s"), re.M)}


class Audit:
    """auditd as Debian configures it, but for its folders, with the equal rule.
    All other tasks are left out from their begin on, and stay so: those made
    while the kernel audits would take the slow way of every system call."""

    def __init__(self, host):
        self.folder = host.folder / f"audit-{time.monotonic_ns()}"
        self.process = None
        status = audit_status()
        if status["enabled"] or status["pid"] or \
                auditctl("-l").strip() not in ("No rules", "-a never,task"):
            raise OSError("the host's own auditing is on")
        (self.folder / "plugins").mkdir(parents=True, mode=0o700)
        text = Path("/etc/audit/auditd.conf").read_text()
        for name, value in (("log_file", self.folder / "audit.log"),
                            ("plugin_dir", self.folder / "plugins")):
            text = re.sub(rf"^{name} =.*", f"{name} = {value}", text,
                          flags=re.M)
        (self.folder / "auditd.conf").write_text(text)
        (self.folder / "auditd.conf").chmod(0o640)
        self.kernel = next(int(entry.name) for entry in Path("/proc").iterdir()
                           if entry.name.isdigit() and
                           (entry / "comm").read_text() == "kauditd\n")
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        auditctl("-D")
        auditctl("-b", "8192")  # as Debian's rules have it
        auditctl("-a", "never,task", "-F", f"uid!={UID}")
        auditctl("-a", "always,exit", "-F", "arch=b64", "-S", "execve", "-S",
                 "execveat", "-F", f"uid={UID}", "-k", "bench")
        self.process = subprocess.Popen(
            ["auditd", "-n", "-s", "enable", "-c", str(self.folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + dp_host.LIMIT_S
        while (status := audit_status())["pid"] != self.process.pid or \
                not status["enabled"]:
            if self.process.poll() is not None:
                raise OSError(f"auditd: {self.process.stderr.read().strip()}")
            if time.monotonic() > end:
                raise OSError(f"auditd does not start: {status}")
            time.sleep(0.05)
        self.lost = status["lost"]

    def cpu_s(self):
        return {"auditd": cpu_s(self.process.pid),
                "kauditd": cpu_s(self.kernel)}

    def told(self):
        """In the log, which is written as it comes; rotated at 8 MB."""
        return sum(path.read_bytes().count(b'key="bench"')
                   for path in self.folder.glob("audit.log*"))

    def wait(self, made):
        dp_host.wait_for(
            lambda: self.told() + audit_status()["lost"] - self.lost >= made,
            "auditd has written all")

    def stop(self):
        for words in (("-e", "0"), ("-D",)):
            try:
                auditctl(*words)
            except OSError as error:
                print(f"bench: {error}", file=sys.stderr)
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(dp_host.LIMIT_S)
        auditctl("-a", "never,task")

    def end(self, made):
        told = self.told()
        self.stop()
        if told < made * 0.99:
            raise OSError(f"auditd has lost {made - told} of {made}")


def measure_exec(host, run_tool, made_by, group, ms):
    watcher = made_by(host)
    made = 0
    try:
        before, work = watcher.cpu_s(), group_s(group)
        found, = run_tool("runtime", "exec", group, UID, host.folder / "exit",
                          ms, RATE)
        made = found["made"]
        watcher.wait(made)
        after = watcher.cpu_s()
    finally:
        watcher.end(made)
    parts = {name: (after[name] - before[name]) / made * 1e6 for name in after}
    return (parts, (group_s(group) - work) / made * 1e6,
            made / found["seconds"])


def bench_exec(report, host, run_tool, quick):
    """What each takes in processes of its own, and by how much the work takes
    more than without it."""
    make_program(host.folder / "exit")
    host.folder.chmod(0o755)
    group, _ = host.new_group("exec")
    variants = {"nothing": Nothing, "sentinel": Sentinel,
                "both daemons, into a file": Daemons, "auditd": Audit}
    all_of, by_part = (collections.defaultdict(list) for _ in range(2))
    works, rates = collections.defaultdict(list), []
    for _ in range(1 if quick else 2):
        for name in list(variants):
            try:
                parts, work, rate = measure_exec(
                    host, run_tool, variants[name], group,
                    800 if quick else 2500)
            except OSError as error:
                if name != "auditd":
                    raise
                print(f"bench: no row of auditd: {error}", file=sys.stderr)
                del variants[name]
                continue
            rates.append(rate)
            works[name].append(work)
            if name != "nothing":
                parts[f"the work, by {name}"] = work - works["nothing"][-1]
                all_of[name].append(sum(parts.values()))
            for part, us in parts.items():
                by_part[part].append(us)
    what = f"each of {statistics.median(rates):,.0f} exec a second"
    has_audit = len(all_of["auditd"]) == len(all_of["sentinel"])
    if not has_audit:
        del all_of["auditd"]
    report.add("runtime", f"CPU for {what}", all_of, "CPU us",
               "auditd" if has_audit else None,
               {name: Target("ratio", 1) for name in all_of if name != "auditd"}
               if has_audit else None)
    report.add("runtime", f"who takes it, {what}", by_part, "CPU us")
    report.add("runtime", f"the work itself, {what}", works, "CPU us",
               "nothing")


def bench_size(report, host, quick):
    """Of cp, grep, tar, chmod, mv, ln and rm at work."""
    group, ident = host.new_group("files")
    folder = host.folder / "work"
    folder.mkdir()
    host.runtime.set(rt.rule(*FILE_EVENTS, cgroup=[ident]))
    before = host.runtime.counts()
    sink = Sink(host)
    try:
        subprocess.run(["sh", "-c", FILES, "sh", str(folder),
                        "1" if quick else "1 2 3"], check=True,
                       preexec_fn=lambda: (group / "cgroup.procs").write_text(
                           str(os.getpid())), timeout=60)
        host.runtime.flush()
    finally:
        told = sink.end()
        host.runtime.set()
    after = host.runtime.counts()
    told.pop("introduced")
    told = {name: (n, size) for name, (n, size) in told.items() if n}
    n = sum(n for n, _ in told.values())
    if any(after[name] != before[name] for name in
           ("ring_full", "over_budget", "failed")):
        raise RuntimeError(f"wrong: not all files were told: {after}")
    report.add("runtime", f"size of {n:,} events of files, packed",
               {"all": [sum(size for _, size in told.values()) / n]} |
               {name: [size / n] for name, (n, size) in told.items()},
               "bytes", None, {"all": Target("median", 400)})


def bench_runtime(report, run_tool, quick):
    if not dp_host.cgroup_root():
        raise RuntimeError("there is no cgroup2 mount of the whole tree")
    folder = Path(tempfile.mkdtemp(prefix="sn-bench-"))
    try:
        host = Traced(folder)
        try:
            bench_call(report, host, run_tool, quick)
            bench_ring(report, host, run_tool, quick)
            bench_size(report, host, quick)
            bench_exec(report, host, run_tool, quick)
        except BaseException:
            print(host.log.read_text()[-2000:], file=sys.stderr)
            raise
        finally:
            host.end()
    finally:
        shutil.rmtree(folder)
