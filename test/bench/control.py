# SPDX-License-Identifier: Apache-2.0
"""Changes through the daemons beside `nft -f`: whole policies, single rules,
attaching. Time is the caller's, from the call to its answer."""

import os
import pwd
import subprocess
import tempfile
import time

import world as worlds
from api import Client, make_stubs
from report import Target
from wire import (Pair, hosts_of, load_nft, make_policy, make_prefixes,
                  make_ruleset)


def timed(call, *arguments, **fields):
    start = time.perf_counter()
    value = call(*arguments, **fields)
    return (time.perf_counter() - start) * 1e3, value


def run_nft(network, path):
    done = subprocess.run([*network.enter("router"), "nft", "-f", str(path)],
                          text=True, capture_output=True, timeout=300,
                          check=False)
    if done.returncode:
        raise RuntimeError(f"nft: {done.stderr[:400]}")


def apply(world, ident, path, n):
    answer = world.ctl("apply", ident, path, "-o", "json")
    if answer.code:
        raise RuntimeError(f"apply: {answer!r}"[:600])
    return n


class Replacing:
    """Two policies of one size that replace each other."""

    def __init__(self, world, n):
        self.world, self.n = world, n
        self.sets = [make_prefixes(n, seed) for seed in (1, 2)]
        self.policies, self.rulesets = [], {"nft interval": [], "nft hash": []}
        for i, prefixes in enumerate(self.sets):
            self.policies.append(self.file(f"policy-{n}-{i}.yaml",
                                           make_policy(prefixes)))
            for variant, files in self.rulesets.items():
                elements = (prefixes if variant == "nft interval"
                            else hosts_of(prefixes))
                files.append(self.file(
                    f"{variant.replace(' ', '-')}-{n}-{i}.nft",
                    "flush set inet bench hosts\nadd element inet bench"
                    f" hosts {{ {', '.join(elements)} }}\n"))
        self.networks = {}
        for i, variant in enumerate(self.rulesets):
            self.networks[variant] = Pair(f"{world.tag}-{n}{i}")
            load_nft(self.networks[variant],
                     make_ruleset(variant, self.sets[0]))

    def file(self, name, text):
        path = self.world.folder / name
        path.write_text(text)
        return path

    def race(self, ident, rounds):
        found = {"sentinelctl apply": [], "nft interval": [], "nft hash": []}
        for i in range(rounds + 1):
            which = i % 2
            took = {"sentinelctl apply": timed(
                apply, self.world, ident, self.policies[which], self.n)[0]}
            if self.world.show(ident)["rules"] != self.n:
                raise RuntimeError("wrong: rules are missing after apply")
            for variant, files in self.rulesets.items():
                took[variant] = timed(run_nft, self.networks[variant],
                                      files[which])[0]
            for variant, ms in took.items():
                if i:
                    found[variant].append(ms)
        return found


def bench_replace(report, world, ident, quick):
    for n, rounds in ((10000, 5 if quick else 11),
                      (100000, 1 if quick else 5)):
        found = Replacing(world, n).race(ident, rounds)
        report.add("control", f"replace {n:,} rules", found, "ms",
                   "nft interval",
                   {"sentinelctl apply": Target("ratio", 1.0)})


def rewrite(world):
    """What sentinel-cp must do before it answers, by hand: a file as large as
    its state written, synced and renamed."""
    size = max(path.stat().st_size for path in world.state_dir.iterdir())
    path = world.state_dir / "bench.tmp"
    with open(path, "wb") as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())
    path.rename(world.state_dir / "bench.renamed")
    folder = os.open(world.state_dir, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


def append(world):
    """The least that any way of keeping a change costs."""
    fd = os.open(world.state_dir / "bench.log",
                 os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, bytes(100))
    os.fdatasync(fd)
    os.close(fd)


def race_single(world, client, ident, pause_s, rounds):
    found = {"no-op (GetStatus)": [], "write + fsync + rename": [],
             "append + fdatasync": [], "add": [], "remove": []}
    for i in range(rounds):
        rule = {"id": ident, "cidr": f"192.0.2.{i % 256}/32"}
        for what, call in (
                ("no-op (GetStatus)", lambda: client.call("GetStatus")),
                ("write + fsync + rename", lambda: rewrite(world)),
                ("append + fdatasync", lambda: append(world)),
                ("add", lambda: client.call("AllowCIDR", **rule)),
                ("remove", lambda: client.call("RemoveCIDR", **rule))):
            time.sleep(pause_s)
            ms, answer = timed(call)
            if what == "remove" and answer.removed != 1:
                raise RuntimeError("wrong: the added rule was not there")
            found[what].append(ms)
    return found


def bench_single(report, world, stubs, ident, quick):
    """A persistent client. A call that changes nothing shows what the client
    and gRPC take, a file written by hand what the disk takes."""
    for name, config, pause_s, rounds in (
            ("one after the other", "", 0, 30 if quick else 300),
            ("each after a pause", "", 0.1, 10 if quick else 40),
            ("group_interval 0s", "state:\n  group_interval: 0s\n", 0,
             30 if quick else 300)):
        world.config.write_text(config)
        world.kill_cp()
        world.start_cp()
        client = Client(world.api_path, stubs)
        try:
            found = race_single(world, client, ident, pause_s, rounds)
        finally:
            client.close()
        # After a pause both CPUs sleep, and the call that changes nothing
        # takes longer than a millisecond: what the change adds is held.
        target = Target("difference" if pause_s else "median", 1.0)
        report.add("control", f"one rule through the API, {name}", found,
                   "ms", "no-op (GetStatus)" if pause_s else None,
                   {what: target for what in ("add", "remove")})


def bench_attach(report, world, client, quick):
    """With group_interval 0s, as the last rows before."""
    world.network.ip("link", "add", "v0", "type", "veth", "peer", "name",
                     "v1")
    group = world.cgroup("bench-attach")
    for name, rounds, target in (
            ("interface", 10 if quick else 50, {"interface_name": "v0"}),
            ("cgroup", 10 if quick else 50, {"cgroup_path": str(group)})):
        found = {"attach": [], "detach": []}
        for _ in range(rounds):
            ms, answer = timed(client.call, "Attach", **target)
            found["attach"].append(ms)
            found["detach"].append(timed(client.call, "Detach",
                                         id=answer.id)[0])
        report.add("control", f"{name}, through the API", found, "ms")


def bench_flip(report, world, run_tool, quick):
    """sentinel-cp makes room for the tool, which is dp's only peer then."""
    world.kill_cp()
    user = pwd.getpwnam(worlds.USER)
    lines = run_tool(
        "flip", world.run_dir / "dp.sock", world.cgroup("bench-flip"),
        500 if quick else 5000,
        prefix=["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                "--clear-groups"])
    report.add("control", "flip of a generation, request to answer",
               {"sentinel-dp": [ns / 1e3 for ns in lines[0]["samples"]]}, "us",
               None, {"sentinel-dp": Target("median", 100)})
    world.start_cp()


def bench_control(report, world, run_tool, quick):
    ident = world.attach("w0")
    bench_replace(report, world, ident, quick)
    path = world.folder / "policy-10000-0.yaml"
    apply(world, ident, path, 10000)
    with tempfile.TemporaryDirectory() as folder:
        stubs = make_stubs(folder)
        bench_single(report, world, stubs, ident, quick)
        client = Client(world.api_path, stubs)
        try:
            bench_attach(report, world, client, quick)
        finally:
            client.close()
    bench_flip(report, world, run_tool, quick)
