# SPDX-License-Identifier: Apache-2.0
"""A small private network, the daemons in it, and the way to talk to both.

    workload ── w0 router a0 ── server a   10.20.0.0/16  fd20::/16
    (10.10.0.2)        │  └ b0 ── server b   10.30.0.0/16  fd30::/16
                  both daemons

Every machine is a network namespace. The servers own whole prefixes and echo
TCP 80, 443, 8080 and UDP 80, 443, 5300 on each of their addresses. Processes live
in cgroups below one of our own. All names begin with the tag of the process
that made them, so that the next run can remove what a killed one left.
"""

import contextlib
import json
import os
import pwd
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = Path(os.environ.get("SENTINEL_BUILD", ROOT / "build"))
BPFFS = Path("/sys/fs/bpf")
NETNS = Path("/run/netns")
USER, ADMINS = "sentinel", "sentinel-admin"
PROGRAMS = ("sentinel-dp", "sentinel-cp", "sentinelctl")
TAG = "snt"
LIMIT_S = 10.0  # for whatever happens soon on a machine that is not stuck
MODES = ("disabled", "allowlist", "denylist", "block-all")
A_METADATA = ("169.254.169.254", "fd00:ec2::254")
TCP_PORTS, UDP_PORTS, SINK_PORT = (80, 443, 8080), (80, 443, 5300), 9000

# name of the server: interface, its end of the link, what it owns.
SERVERS = {
    "a": ("a0", ("10.254.1.2", "fd54:1::2"),
          ("10.20.0.0/16", "fd20::/16", "169.254.169.254/32",
           "fd00:ec2::254/128")),
    "b": ("b0", ("10.254.2.2", "fd54:2::2"), ("10.30.0.0/16", "fd30::/16")),
}
WORKLOAD = ("10.10.0.2", "fd10::2")


def until(condition, what, limit_s=LIMIT_S, pause_s=0.01):
    """Polls for a true value and returns it."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(pause_s)


def run(*command, check=True, text_in=None):
    done = subprocess.run([str(part) for part in command], text=True,
                          input=text_in, capture_output=True, timeout=60)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit "
                           f"{done.returncode}\n{done.stdout}{done.stderr}")
    return done


def process_start(pid):
    """Start time in ticks, which tells a process from a later one with the
    same number; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def new_tag():
    pid = os.getpid()
    return f"{TAG}-{pid}-{process_start(pid)}-{secrets.token_hex(3)}"


def is_leftover(name):
    match = re.match(rf"{TAG}-(\d+)-(\d+)-", name)
    return bool(match) and process_start(match[1]) != match[2]


def cgroup_mount():
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.split()[0] == "cgroup2":
            return Path(fields.split()[4])
    raise RuntimeError("no cgroup2 is mounted")


def ensure_host():
    """What packaging does on a real host: accounts and file systems."""
    if run("getent", "group", ADMINS, check=False).returncode:
        run("groupadd", "--system", ADMINS)
    if run("getent", "passwd", USER, check=False).returncode:
        run("useradd", "--system", "--home-dir", "/var/lib/sentinel",
            "--no-create-home", "--shell", "/usr/sbin/nologin",
            "--user-group", USER)
    if ADMINS not in run("id", "-nG", USER).stdout.split():
        run("usermod", "--append", "--groups", ADMINS, USER)
    if run("findmnt", "-t", "bpf", BPFFS, check=False).returncode:
        run("mount", "-t", "bpf", "bpf", BPFFS)


def remove_cgroups(root):
    """Ends every process below, then the groups, innermost first."""
    if not root.is_dir():
        return
    with contextlib.suppress(OSError):
        (root / "cgroup.kill").write_text("1")

    def is_empty():
        return "populated 0" in (root / "cgroup.events").read_text()

    with contextlib.suppress(AssertionError, OSError):
        until(is_empty, f"{root} is empty")
    for folder, _, _ in os.walk(root, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def remove_all(tag):
    """Removes everything that carries the tag; each step may find nothing."""
    remove_cgroups(cgroup_mount() / tag)
    shutil.rmtree(BPFFS / tag, ignore_errors=True)
    for path in NETNS.glob(tag + "*") if NETNS.is_dir() else ():
        run("ip", "netns", "delete", path.name, check=False)
    shutil.rmtree(Path(tempfile.gettempdir()) / tag, ignore_errors=True)


def sweep():
    """Removes what runs left that were killed."""
    found = set()
    for folder in (cgroup_mount(), BPFFS, NETNS, Path(tempfile.gettempdir())):
        if folder.is_dir():
            found |= {re.match(rf"{TAG}-\d+-\d+-[0-9a-f]+", path.name)[0]
                      for path in folder.glob(TAG + "-*")
                      if is_leftover(path.name)}
    for tag in found:
        remove_all(tag)


class Agent:
    """A process that makes traffic (agent.py); methods are its calls."""

    def __init__(self, command, script=HERE / "agent.py"):
        self.child = subprocess.Popen(
            [*command, sys.executable, str(script)], text=True,
            bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.child.pid
        self.ping()

    def call(self, name, /, **arguments):
        self.child.stdin.write(json.dumps({"call": name, "with": arguments}) +
                               "\n")
        self.child.stdin.flush()
        if not select.select([self.child.stdout], [], [], 60)[0]:
            raise RuntimeError(f"agent: no answer to {name}")
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"agent: ended during {name}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"agent: {name}: {answer['error']}")
        return answer["value"]

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda **arguments: self.call(name, **arguments)

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


class Network:
    """Namespaces, links and the agents in them."""

    def __init__(self, tag, spawn_prefix):
        self.tag = tag
        self.spawn_prefix = spawn_prefix
        for name in ("router", "workload", "a", "b"):
            self.add_namespace(name)
        self.write("router", ipv4__ip_forward=1,
                   ipv6__conf__all__forwarding=1)
        self.add_workload("w0")
        for name, (interface, addresses, owned) in SERVERS.items():
            self.add_server(name, interface, addresses, owned)
        self.a = self.agent("a")
        self.b = self.agent("b")
        for server in (self.a, self.b):
            server.serve(tcp=TCP_PORTS, udp=UDP_PORTS, sinks=[SINK_PORT])
            server.sniff(interface="eth0")
        self.workload = self.agent("workload")
        self.workload.serve(tcp=TCP_PORTS, udp=UDP_PORTS)
        self.workload.sniff(interface="eth0")

    def namespace(self, name):
        return f"{self.tag}-{name}"

    def enter(self, name):
        """ip netns exec would give a /sys of its own, without our mounts."""
        return ["nsenter", f"--net={NETNS / self.namespace(name)}"]

    def write(self, name, **settings):
        """Settings below /proc/sys/net of one namespace, __ for a slash."""
        run(*self.enter(name), "sh", "-c", "".join(
            f"echo '{value}' >/proc/sys/net/{key.replace('__', '/')} &&\n"
            for key, value in settings.items()) + "true")

    def add_namespace(self, name):
        run("ip", "netns", "add", self.namespace(name))
        # No packet that a test did not ask for: no DAD, no router
        # solicitation, no link-local address, reports of groups sent at once.
        self.write(name, **{"ipv6__conf__default__" + key: value
                            for key, value in {
                                "accept_dad": 0, "accept_ra": 0,
                                "router_solicitations": 0,
                                "addr_gen_mode": 1,
                                "mldv1_unsolicited_report_interval": 1,
                                "mldv2_unsolicited_report_interval": 1,
                            }.items()},
                   ipv6__ip_nonlocal_bind=1, ipv4__conf__all__rp_filter=0,
                   ipv4__conf__default__rp_filter=0, ipv4__icmp_ratelimit=0)
        run("ip", "-n", self.namespace(name), "link", "set", "lo", "up")

    def remove_namespace(self, name):
        run("ip", "netns", "delete", self.namespace(name))

    def link(self, interface, peer, near, far):
        """A veth from the router to eth0 of the peer, with addresses and
        neighbours that never have to be asked for."""
        ip = ("ip", "-n", self.namespace("router"))
        ip_peer = ("ip", "-n", self.namespace(peer))
        run(*ip, "link", "add", interface, "type", "veth", "peer", "name",
            "eth0", "netns", self.namespace(peer))
        hardware = {}
        for side, name, addresses in ((ip, interface, near),
                                      (ip_peer, "eth0", far)):
            run(*side, "-batch", "-", text_in="".join(
                f"address add {address}/{112 if ':' in address else 30} "
                f"dev {name}{' nodad' if ':' in address else ''}\n"
                for address in addresses) + f"link set {name} up\n")
            hardware[name] = json.loads(
                run(*side, "-j", "link", "show", name).stdout)[0]["address"]
        for side, name, other, addresses in (
                (ip, interface, "eth0", far), (ip_peer, "eth0", interface,
                                               near)):
            run(*side, "-batch", "-", text_in="".join(
                f"neigh replace {address} lladdr {hardware[other]} "
                f"nud permanent dev {name}\n" for address in addresses))
        run(*ip_peer, "-batch", "-", text_in="".join(
            f"route add default via {address}\n" for address in near))

    def add_workload(self, interface):
        self.link(interface, "workload", ("10.10.0.1", "fd10::1"), WORKLOAD)

    def add_server(self, name, interface, addresses, owned):
        self.link(interface, name, tuple(re.sub(r"2$", "1", address)
                                         for address in addresses), addresses)
        for prefix in owned:
            gateway = addresses[":" in prefix]
            run("ip", "-n", self.namespace("router"), "route", "add", prefix,
                "via", gateway)
            run("ip", "-n", self.namespace(name),
                *(("-6",) if ":" in prefix else ()), "route", "add", "local",
                prefix, "dev", "lo")

    def agent(self, namespace, cgroup="agents"):
        return Agent([*self.spawn_prefix(cgroup), *self.enter(namespace)])

    def forget(self):
        for agent in (self.a, self.b, self.workload):
            agent.forget()

    def ip(self, *arguments, namespace="router", check=True):
        return run("ip", "-n", self.namespace(namespace), *arguments,
                   check=check)

    def tc(self, *arguments):
        return run("tc", "-n", self.namespace("router"), *arguments)

    def batch(self, lines, namespace="router"):
        """Several ip commands with nothing in between."""
        run("ip", "-n", self.namespace(namespace), "-batch", "-",
            text_in=lines)


class Answer:
    """What sentinelctl said."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def __repr__(self):
        return f"exit {self.code}\n{self.out}{self.err}"

    @property
    def json(self):
        return json.loads(self.out)


# The file that a change waits for is written at once: most tests make their
# changes one after the other.
QUICK = "state:\n  group_interval: 0s\n"


class World:
    """dp_options: further arguments of sentinel-dp; config: the text of the
    configuration of sentinel-cp."""

    def __init__(self, dp_options=(), config=QUICK):
        self.tag = new_tag()
        self.dp_options = [str(option) for option in dp_options]
        self.folder = Path(tempfile.gettempdir()) / self.tag
        self.cgroups = cgroup_mount() / self.tag
        self.bpffs = BPFFS / self.tag
        self.dp = self.cp = None
        self.channels = []
        self.network = None
        try:
            self.prepare(config)
            self.network = Network(self.tag, self.in_cgroup)
            self.start_dp()
            self.start_cp()
        except BaseException:
            self.end()
            raise

    def prepare(self, config):
        account = pwd.getpwnam(USER)
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.run_dir = self.folder / "run"
        self.run_dir.mkdir()
        os.chown(self.run_dir, 0, account.pw_gid)
        self.run_dir.chmod(0o1775)
        self.state_dir = self.folder / "state"
        self.state_dir.mkdir(mode=0o700)
        os.chown(self.state_dir, account.pw_uid, account.pw_gid)
        self.bin = self.folder / "bin"
        self.bin.mkdir(mode=0o755)
        for name in PROGRAMS:
            shutil.copy(BUILD / name, self.bin / name)
            (self.bin / name).chmod(0o755)
        self.config = self.folder / "sentinel-cp.yaml"
        self.config.write_text(config)
        self.cgroups.mkdir()
        for name in ("agents", "daemons"):
            self.cgroup(name)

    # Cgroups

    def cgroup(self, name):
        path = self.cgroups / name
        path.mkdir(exist_ok=True)
        return path

    def in_cgroup(self, name):
        """A command prefix that runs the rest in one of our cgroups."""
        return ["sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"',
                str(self.cgroup(name))]

    # Daemons

    def spawn(self, name, prefix, arguments):
        log = open(self.folder / f"{name}.log", "ab")
        with log:
            return subprocess.Popen(
                [*self.in_cgroup("daemons"), *self.network.enter("router"),
                 "setpriv", "--pdeathsig=KILL", *prefix, str(self.bin / name),
                 *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_dp(self, wait=True, options=None):
        assert not self.dp
        self.dp = self.spawn("sentinel-dp", [], [
            "--run-dir", str(self.run_dir), "--bpffs", str(self.bpffs),
            "--peer-user", USER, "--log-level", "debug",
            *(self.dp_options if options is None else options)])
        if wait:
            until(lambda: self.is_listening("dp.sock", self.dp),
                  "sentinel-dp listens")

    def start_cp(self, wait=True, prefix=()):
        assert not self.cp
        self.cp = self.spawn("sentinel-cp", [
            *prefix, f"--reuid={USER}", f"--regid={USER}", "--init-groups",
            "--inh-caps=-all", "--bounding-set=-all"], [
            "--config", str(self.config), "--run-dir", str(self.run_dir),
            "--state-dir", str(self.state_dir), "--log-level", "debug"])
        if wait:
            until(lambda: self.is_listening("api.sock", self.cp),
                  "sentinel-cp listens")
            if self.dp:
                self.wait_connected()

    def is_listening(self, name, daemon):
        if daemon.poll() is not None:
            raise AssertionError(f"{name}: the daemon ended\n{self.logs()}")
        path = self.run_dir / name
        # dp.sock has room for one peer: look, do not connect.
        if name == "dp.sock":
            return str(path) in self.unix_sockets()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            return sock.connect_ex(str(path)) == 0

    def unix_sockets(self):
        """Paths of listening sockets in the router's namespace."""
        text = run(*self.network.enter("router"), "cat",
                   "/proc/self/net/unix").stdout
        return {line.split()[-1] for line in text.splitlines()[1:]
                if line.split()[5] == "01"}

    def is_ready(self):
        """Connected, and done with comparing kernel and policies."""
        answer = self.ctl("status", "-o", "json")
        return answer.code == 0 and not any(
            "being compared" in text for text in answer.json["warnings"])

    def wait_connected(self):
        until(self.is_ready, "the daemons are connected")

    def kill_dp(self):
        self.dp.kill()
        self.dp.wait()
        self.dp = None

    def kill_cp(self):
        self.cp.kill()
        self.cp.wait()
        self.cp = None

    def stop(self, daemon):
        """SIGTERM; returns the exit status."""
        daemon.send_signal(signal.SIGTERM)
        status = daemon.wait(timeout=LIMIT_S)
        if daemon is self.dp:
            self.dp = None
        else:
            self.cp = None
        return status

    def ensure_daemons(self):
        """After a test that killed one and did not get further."""
        for name in ("dp", "cp"):
            daemon = getattr(self, name)
            if daemon and daemon.poll() is not None:
                setattr(self, name, None)
            if not getattr(self, name):
                getattr(self, f"start_{name}")()
        self.wait_connected()

    def log(self):
        """Of sentinel-cp, whole: what is counted in it does not scroll away."""
        return (self.folder / "sentinel-cp.log").read_text(errors="replace")

    def logs(self):
        """The last lines of each, for people."""
        return "\n".join(
            f"--- {path.name}\n" +
            "\n".join(path.read_text(errors="replace").splitlines()[-40:])
            for path in sorted(self.folder.glob("*.log")))

    # The command-line client and the API

    @property
    def api_path(self):
        return self.run_dir / "api.sock"

    def ctl(self, *arguments, text_in=None):
        """sentinelctl as a user calls it."""
        return Answer(subprocess.run(
            [str(self.bin / "sentinelctl"), *map(str, arguments)], text=True,
            input=text_in, capture_output=True, timeout=60,
            env={"SENTINEL_SOCKET": str(self.api_path),
                 "PATH": os.environ["PATH"]}))

    def ok(self, *arguments, text_in=None):
        """The same, for calls that must work; the JSON of the answer."""
        answer = self.ctl(*arguments, "-o", "json", text_in=text_in)
        assert answer.code == 0, f"{arguments}: {answer!r}"
        return answer.json

    def policy_file(self, text):
        path = self.folder / "policy.yaml"
        path.write_text(text)
        return path

    def attach(self, target, *options, policy=None):
        """target: an interface name or a cgroup's path. Returns the id."""
        kind = "--cgroup" if str(target).startswith("/") else "--interface"
        if policy is not None:
            options += ("--policy", self.policy_file(policy))
        return self.ok("attach", kind, target, *options)["id"]

    def detach_all(self):
        for item in self.ok("list"):
            self.ok("detach", item["id"])

    def show(self, ident):
        return self.ok("show", ident)

    def reasons(self, ident):
        return {entry["reason"]: entry["count"]
                for entry in self.show(ident)["blocked_reasons"]}

    def end(self):
        for channel in self.channels:
            channel.close()
        for daemon in (self.cp, self.dp):
            if daemon and daemon.poll() is None:
                daemon.kill()
            if daemon:
                daemon.wait()
        agents = []
        if self.network:
            agents = [value for value in vars(self.network).values()
                      if isinstance(value, Agent)]
        remove_all(self.tag)
        for agent in agents:
            agent.end()

