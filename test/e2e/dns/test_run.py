# SPDX-License-Identifier: Apache-2.0
"""sentinelctl run: a command under a policy of its own. Judged by what the far
end saw, and by what is left afterwards: nothing."""

import hashlib
import json
import os
import re
import signal
import subprocess

import pytest
import yaml

import world as worlds
from lab import until

PAGE = "203.0.113.10"
OTHER = "203.0.113.66"
PYTHON = "/usr/bin/python3"


def groups():
    """Of everybody; others come and go while it looks."""
    return {path for path, _, _ in os.walk(worlds.cgroup_mount())
            if os.path.basename(path).startswith("sentinel-run-")}


class Runner:
    def __init__(self, world):
        self.world = world
        self.env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                    "SENTINEL_SOCKET": str(world.api_path)}
        self.before = groups()

    def command(self, *arguments):
        return [*self.world.network.enter("router"),
                str(self.world.bin / "sentinelctl"), "run",
                *map(str, arguments)]

    def __call__(self, *arguments, **options):
        done = subprocess.run(self.command(*arguments), env=self.env,
                              text=True, timeout=60, capture_output=True,
                              stdin=subprocess.DEVNULL, **options)
        self.leaves_nothing()
        return done

    def start(self, *arguments, **options):
        options = {"stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen(self.command(*arguments), env=self.env,
                                text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def leaves_nothing(self):
        until(lambda: groups() <= self.before, "the cgroup is gone")
        until(lambda: not self.world.ok("list"), "nothing is attached")


@pytest.fixture
def run(clean):
    clean.upstream.behave()
    clean.zone(www={"A": [60, PAGE]}, evil={"A": [60, OTHER]})
    clean.network.b.forget()
    runner = Runner(clean)
    yield runner
    runner.leaves_nothing()


def is_gone(pid):
    """Or dead and not waited for yet by whoever has to."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


# What it exits with

@pytest.mark.parametrize("command, status", [
    (["true"], 0), (["sh", "-c", "exit 42"], 42),
    (["sh", "-c", "kill -TERM $$"], 143), (["sh", "-c", "kill -9 $$"], 137),
    (["/nonexistent/x"], 127), (["no-such-command"], 127),
    (["/etc/passwd"], 126), (["/"], 126)])
def test_status_is_the_commands(run, command, status):
    done = run("--", *command)
    assert done.returncode == status, done
    if status in (126, 127):
        assert f"cannot run '{command[0]}'" in done.stderr


@pytest.mark.parametrize("arguments, text", [
    ([], "usage: sentinelctl run"),
    (["--"], "usage: sentinelctl run"),
    (["--allow", "http://a.test/", "--", "true"], "a URL is no name"),
    (["--allow", "a.test:99999", "--", "true"], "99999"),
    (["--allow", "10.0.0.1/8", "--", "true"], "10.0.0.1/8"),
    (["--allow", "*.10.0.0.0/8", "--", "true"], "--allow"),
    (["--allow", "", "--", "true"], "must be given"),
    (["--mode", "denylist", "--", "true"], "has no option --mode")])
def test_bad_usage_is_told(run, arguments, text):
    done = run(*arguments)
    assert done.returncode == 2, done
    assert text in done.stderr


@pytest.mark.parametrize("arguments, text", [
    (["--policy", "/nonexistent.yaml"], "/nonexistent.yaml"),
    (["--user", "no-such-user"], "there is no user 'no-such-user'")])
def test_what_is_missing_is_told(run, arguments, text):
    done = run(*arguments, "--", "true")
    assert done.returncode == 1 and text in done.stderr, done


def test_without_daemon_it_says_what_to_do(run):
    run.env["SENTINEL_SOCKET"] = "/nonexistent/api.sock"
    done = run("--", "true")
    assert done.returncode == 1
    assert "is sentinel-cp running?" in done.stderr


# What it may reach

PROBE = f"""
import socket
def probe(what, *to):
    try:
        socket.create_connection(to, 3).close()
        print(what, "ok")
    except OSError as error:
        print(what, type(error).__name__)
probe("name", "www.test", 80)
probe("port", "www.test", 443)
probe("other-name", "evil.test", 80)
probe("address", "{OTHER}", 80)
"""


def test_only_what_is_allowed_is_reached(run):
    done = run("--allow", "www.test:80", "--", PYTHON, "-c", PROBE)
    assert done.stdout.split() == [
        "name", "ok", "port", "PermissionError", "other-name", "gaierror",
        "address", "PermissionError"], done
    assert f"www.test  {PAGE}" in done.stderr
    assert re.search(r"blocked .* 2 calls refused", done.stderr)
    assert re.search(r"no-rule +2", done.stderr)
    assert f"www.test ({PAGE}) 443/tcp  (no-rule, 1)" in done.stderr
    assert f" {OTHER} 80/tcp  (no-rule, 1)" in done.stderr
    assert re.search(r" evil.test  \(dns-denied, \d+\)", done.stderr)


@pytest.mark.parametrize("allow, reached", [
    (PAGE, True), (f"{PAGE}:80", True), (f"{PAGE}:81/tcp", False),
    ("203.0.113.0/24:80/tcp,443", True), ("*.test:80", True),
    ("[2001:db8::/32]:80", False)])
def test_forms_of_allow(run, allow, reached):
    done = run("--allow", allow, "--", PYTHON, "-c", "import socket\n"
               f"socket.create_connection(('{PAGE}', 80) if '*' not in "
               f"'{allow}' else ('www.test', 80), 3)")
    assert (done.returncode == 0) == reached, done


def test_policy_file_and_allow_together(run):
    path = run.world.policy_file("mode: allowlist\ncidrs:\n"
                                 f"  - {{allow: {OTHER}, ports: [80/tcp]}}\n")
    done = run("--policy", path, "--allow", "www.test:80", "--", PYTHON, "-c",
               PROBE)
    assert done.stdout.split()[1::2] == ["ok", "PermissionError", "gaierror",
                                         "ok"], done


def test_audit_passes_and_tells(run):
    done = run("--audit", "--", PYTHON, "-c", PROBE)
    assert done.stdout.split()[1::2] == ["ok"] * 4, done
    assert "to block" in done.stderr


ESCAPES = f"""
import socket
def udp(to, data):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.5)
    try:
        s.sendto(data, to)
        print(s.recv(512) and "answered")
    except OSError as error:
        print(type(error).__name__)
query = bytes.fromhex("00070100000100000000000004") + b"evil" + \\
    bytes([4]) + b"test" + bytes.fromhex("0000010001")
udp(("{OTHER}", 443), b"x")
udp(("{OTHER}", 5300), query)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.sendto(query, ("198.51.100.77", 53))
print(s.recv(512)[3] & 15)
s = socket.socket()
s.settimeout(0.5)
print(s.connect_ex(("{OTHER}", 853)))
"""


def test_other_resolvers_and_udp_lead_nowhere(run):
    done = run("--allow", "www.test:80", "--", PYTHON, "-c", ESCAPES)
    # The other resolver is ours, and refuses (5).
    assert done.stdout.split() == ["PermissionError", "PermissionError", "5",
                                   "1"], done


# As a new user would

WEB = ("import http.server,sys; http.server.ThreadingHTTPServer(('0.0.0.0', "
       "8088), http.server.SimpleHTTPRequestHandler).serve_forever()")


@pytest.fixture
def web(run):
    """A web server on every address of server b, with a file and a
    repository."""
    world = run.world
    folder = world.folder / "web"
    folder.mkdir(exist_ok=True)
    (folder / "hello").write_text("hello from the web\n")
    if not (folder / "repo.git").exists():
        work = world.folder / "work"
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@t.test"]
        worlds.run("git", "init", "-q", work)
        worlds.run(*git, "-C", work, "commit", "-q", "--allow-empty", "-m",
                   "first")
        worlds.run("git", "clone", "-q", "--bare", work, folder / "repo.git")
        worlds.run("git", "-C", folder / "repo.git", "update-server-info")
    server = subprocess.Popen(
        [*world.network.enter("b"), PYTHON, "-c", WEB], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: worlds.run(*world.network.enter("b"), PYTHON, "-c",
                             "import socket; socket.create_connection(("
                             "'127.0.0.1', 8088))", check=False)
          .returncode == 0, "the web server listens")
    yield run
    server.kill()
    server.wait()


def test_curl(web):
    url = "http://www.test:8088/hello"
    done = web("--allow", "www.test:8088", "--", "curl", "-sS", url)
    assert (done.returncode, done.stdout) == (0, "hello from the web\n"), done
    done = web("--allow", "www.test:8088", "--", "curl", "-sS",
               "http://evil.test:8088/hello")
    assert done.returncode == 6, done  # could not resolve
    done = web("--", "curl", "-sS", "--connect-timeout", "2",
               f"http://{PAGE}:8088/hello")
    assert done.returncode == 7, done  # could not connect


def test_git(web):
    target = web.world.folder / "clone"
    done = web("--allow", "www.test:8088", "--", "git", "clone", "-q",
               "http://www.test:8088/repo.git", target)
    assert done.returncode == 0, done
    assert (target / ".git" / "HEAD").exists()


def test_pipeline(web):
    done = web("--allow", "www.test:8088", "--", "sh", "-c",
               "curl -sS http://www.test:8088/hello | tr a-z A-Z | cat")
    assert done.stdout == "HELLO FROM THE WEB\n", done


CONTROL = """Package: tiny
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: nothing
"""


def apt(world, mirror):
    """apt-get of a machine that knows this mirror only."""
    root = world.folder / f"apt-{mirror}"
    for part in ("etc", "state/lists/partial", "cache/archives/partial"):
        (root / part).mkdir(parents=True)
    (root / "sources").write_text(
        f"deb [trusted=yes] http://{mirror}:8088/debian ./\n")
    (root / "status").touch()
    options = {"Dir::Etc": root / "etc", "Dir::Etc::sourcelist":
               root / "sources", "Dir::State": root / "state",
               "Dir::State::status": root / "status",
               "Dir::Cache": root / "cache", "APT::Sandbox::User": "root",
               "Acquire::Retries": 0, "APT::Update::Error-Mode": "any"}
    return ["apt-get", "-qq", *(f"-o{key}={value}"
                                for key, value in options.items())]


def test_package_manager(web):
    """From a local mirror that the policy names, and from no other."""
    world = web.world
    tree, mirror = world.folder / "tiny/DEBIAN", world.folder / "web/debian"
    tree.mkdir(parents=True)
    mirror.mkdir()
    (tree / "control").write_text(CONTROL)
    worlds.run("dpkg-deb", "--build", tree.parent, mirror / "tiny.deb")
    package = (mirror / "tiny.deb").read_bytes()
    (mirror / "Packages").write_text(
        CONTROL + f"Filename: ./tiny.deb\nSize: {len(package)}\n"
        f"SHA256: {hashlib.sha256(package).hexdigest()}\n")
    good, bad = apt(world, "www.test"), apt(world, "evil.test")
    done = web("--allow", "www.test:8088", "--", "sh", "-ec",
               '"$@" update; "$@" download tiny', "sh", *good,
               cwd=world.folder)
    assert done.returncode == 0, done
    assert (world.folder / "tiny_1_all.deb").read_bytes() == package
    done = web("--allow", "www.test:8088", "--", *bad, "update")
    assert done.returncode == 100, done
    assert "evil.test" in done.stderr


STATIC = """
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
		struct addrinfo *found = NULL;
		if (getaddrinfo(argv[i], "80", &hints, &found)) {
			puts("no-name");
			continue;
		}
		int s = socket(found->ai_family, SOCK_STREAM, 0);
		puts(connect(s, found->ai_addr, found->ai_addrlen) ? "refused" :
								     "ok");
	}
}
"""


def test_static_program(run):
    source, program = (run.world.folder / name for name in ("s.c", "static"))
    source.write_text(STATIC)
    worlds.run("musl-gcc", "-static", "-o", program, source)
    done = run("--allow", "www.test:80", "--", program, "www.test",
               "evil.test", OTHER)
    assert done.stdout.split() == ["ok", "no-name", "refused"], done


def test_standard_streams_are_the_callers(run):
    with run.start("--", "cat", stdin=subprocess.PIPE) as child:
        out, _ = child.communicate("as it came\n", timeout=30)
    assert (child.returncode, out) == (0, "as it came\n")


# Who runs it

def test_user_has_own_groups_and_no_way_back(run):
    done = run("--user", worlds.USER, "--", "sh", "-c",
               "id -un; id -Gn; echo $HOME; grep NoNewPrivs /proc/self/status")
    lines = done.stdout.splitlines()
    assert lines[0] == worlds.USER
    assert worlds.ADMINS in lines[1].split()
    assert lines[2] == "/var/lib/sentinel" and lines[3].split()[1] == "1"


def test_user_cannot_leave_the_cgroup(run):
    done = run("--user", "nobody", "--", "sh", "-c",
               f"echo $$ >{worlds.cgroup_mount()}/cgroup.procs")
    assert done.returncode != 0 and "ermission denied" in done.stderr


def delegate(run):
    """A cgroup that belongs to USER, and a command prefix that is in it."""
    folder = run.world.cgroup("delegated")
    for path in (folder, folder / "cgroup.procs"):
        os.chown(path, *(worlds.pwd.getpwnam(worlds.USER)[2:4]))
    return folder, run.world.in_cgroup("delegated")


def test_user_cannot_leave_where_the_cgroup_is_delegated_to_it(run):
    """As with sudo in a terminal of a desktop: whoever may write the common
    ancestor may move processes below it."""
    folder, enter = delegate(run)
    for path in (folder / "below", folder / "below/leaf"):
        path.mkdir(exist_ok=True)
    escape = (f"cat /proc/self/cgroup; for at in {folder} {folder}/below; do "
              "echo $$ >$at/cgroup.procs && echo out; done; true")
    done = subprocess.run(
        [*enter, "sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"',
         str(folder / "below/leaf"),
         *run.command("--user", worlds.USER, "--", "sh", "-c", escape)],
        env=run.env, text=True, timeout=60, capture_output=True,
        stdin=subprocess.DEVNULL)
    run.leaves_nothing()
    for path in (folder / "below/leaf", folder / "below"):
        path.rmdir()
    assert done.returncode == 0, done
    assert "sentinel-run-" in done.stdout and "out" not in done.stdout, done


def as_user(user, command):
    group = worlds.pwd.getpwnam(user).pw_gid
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups",
            *command]


def test_delegated_user(run):
    """A member of the group with a cgroup of its own needs no root."""
    _, inside = delegate(run)
    # The namespace needs root, so it is entered first.
    enter, rest = run.command()[:2], run.command("--", "id", "-un")[2:]
    command = [*inside, *enter, *as_user(worlds.USER, rest)]
    done = subprocess.run(command, env=run.env, text=True, timeout=60,
                          capture_output=True)
    assert (done.returncode, done.stdout) == (0, worlds.USER + "\n"), done


def test_user_without_rights_is_told_what_to_do(run):
    enter, rest = run.command()[:2], run.command("--", "true")[2:]
    done = subprocess.run([*enter, *as_user("nobody", rest)], env=run.env,
                          text=True, timeout=60, capture_output=True)
    assert done.returncode == 1
    assert "sudo" in done.stderr and "systemd-run" in done.stderr


# Ends that are no good ends

SLEEPER = ["sh", "-c", "echo $$; exec sleep 1000"]


def supervisor_of(child):
    """The other child of sentinelctl than the command."""
    path = f"/proc/{child.pid}/task/{child.pid}/children"
    return [int(pid) for pid in open(path).read().split()
            if "sentinelctl" in open(f"/proc/{pid}/cmdline").read()]


def test_killed_sentinelctl_leaves_nothing(run):
    child = run.start("--", *SLEEPER)
    pid = int(child.stdout.readline())
    child.kill()
    child.communicate()
    until(lambda: is_gone(pid), "the command is killed")
    run.leaves_nothing()


def test_killed_supervisor_ends_the_command(run):
    child = run.start("--", *SLEEPER)
    pid = int(child.stdout.readline())
    supervisor, = supervisor_of(child)
    os.kill(supervisor, signal.SIGKILL)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 1 and "supervisor was killed" in errors
    assert is_gone(pid)
    run.leaves_nothing()


def test_both_killed_leaves_it_closed_until_it_is_empty(run):
    child = run.start("--allow", PAGE, "--", *SLEEPER)
    pid = int(child.stdout.readline())
    supervisor, = supervisor_of(child)
    os.kill(child.pid, signal.SIGSTOP)  # so that it cannot clean up
    os.kill(supervisor, signal.SIGKILL)
    child.kill()
    child.wait()  # the command has its output open
    until(lambda: [one["mode"] for one in run.world.ok("list")] ==
          ["block-all"], "what is left is closed")
    assert not is_gone(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not run.world.ok("list"), "it is detached")
    child.communicate()
    # The empty cgroup goes with the next run.
    assert run("--", "true").returncode == 0


def test_detached_by_somebody_else_kills_the_command(run):
    child = run.start("--", *SLEEPER)
    pid = int(child.stdout.readline())
    item, = run.world.ok("list")
    assert item["metadata"] == {"run": "sh"}
    run.world.ok("detach", item["id"])
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 137 and "somebody else" in errors
    assert is_gone(pid)


def test_restarted_daemons_are_survived(run):
    code = ("import socket, sys\nprint('up', flush=True)\nsys.stdin.readline()"
            "\n" + PROBE)
    child = run.start("--allow", "www.test:80", "--", PYTHON, "-c", code,
                      stdin=subprocess.PIPE)
    assert child.stdout.readline() == "up\n"
    run.world.kill_cp()
    run.world.start_cp()
    out, errors = child.communicate("go\n", timeout=60)
    assert out.split()[1::2] == ["ok", "PermissionError", "gaierror",
                                 "PermissionError"], errors
    assert child.returncode == 0


def test_daemon_that_is_stopped_keeps_the_attachment(run):
    child = run.start("--", *SLEEPER)
    child.stdout.readline()
    assert run.world.stop(run.world.cp) == 0
    run.world.start_cp()
    item, = run.world.ok("list")
    assert item["mode"] == "allowlist"
    child.terminate()
    child.communicate(timeout=30)
    assert child.returncode == 143


def test_what_it_leaves_behind_is_killed(run):
    done = run("--", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!; "
               "exit 3")
    assert done.returncode == 3
    assert is_gone(int(done.stdout))
    assert "1 process was left and killed" in done.stderr


def test_stopped_command_is_told(run):
    child = run.start("--", "sh", "-c", "kill -STOP $$; echo on")
    line = child.stderr.readline()
    pid = int(re.search(r"kill -CONT (\d+)", line)[1])
    os.kill(pid, signal.SIGCONT)
    out, _ = child.communicate(timeout=30)
    assert (child.returncode, out) == (0, "on\n")


FORKS = """
import os
print("up", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


# Ends when it is refused; without that it goes on until it is killed.
MANY = """
import os, time
n = 1
try:
    while n < 3000:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        n += 1
    time.sleep(60)
except OSError as error:
    print(n, error.errno)
"""


def pids_are_bounded_by_the_kernel():
    """The run's cgroup is made at the root of the hierarchy here."""
    root = worlds.cgroup_mount()
    if "pids" not in (root / "cgroup.controllers").read_text().split():
        return False
    (root / "cgroup.subtree_control").write_text("+pids")
    return True


@pytest.mark.parametrize("user", [[], ["--user", worlds.USER]])
def test_processes_are_bounded(run, user):
    """By the kernel, or by being killed where its controller is not to be
    had (as where cgroups of version 1 have it)."""
    is_refused = pids_are_bounded_by_the_kernel()
    done = run("--pids-limit", "40", *user, "--", PYTHON, "-c", MANY)
    if is_refused:
        assert (done.returncode, done.stdout) == (0, "40 11\n"), done
        assert "1 forks were refused" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (137, ""), done
        assert "more than 40 processes and threads, so it" in done.stderr


def test_who_keeps_the_bound_is_told_nothing(run):
    code = "import subprocess as s\nfor _ in range(100): s.run(['true'])"
    done = run("--pids-limit", "8", "--", PYTHON, "-c", code)
    assert done.returncode == 0 and "pids-limit" not in done.stderr, done


def test_endless_forks_are_bounded(run):
    """Were it not so, the limit of the user would."""
    is_refused = pids_are_bounded_by_the_kernel()
    done = run("--pids-limit", "100", "--user", "games", "-o", "json", "--",
               "timeout", "20", "prlimit", "--nproc=4000", PYTHON, "-c", FORKS)
    report = json.loads(done.stderr)
    assert report["pids_limit"] == 100
    if is_refused:
        assert done.returncode == 124 and report["forks_refused"] > 0
    else:
        assert done.returncode == 137 and report["pids_exceeded"] is True


@pytest.mark.parametrize("text", ["0", "-1", "x", "4194305", "1k", ""])
def test_bad_bound_is_wrong_usage(run, text):
    done = run("--pids-limit", text, "--", "true")
    assert done.returncode == 2 and "--pids-limit" in done.stderr


def test_endless_forks_end_with_sentinelctl(run):
    """Bounded here by the limit of a user that has no other process."""
    child = run.start("--user", "games", "--", "prlimit", "--nproc=64",
                      PYTHON, "-c", FORKS)
    child.stdout.readline()
    group, = (path for path in groups() - run.before
              if f"sentinel-run-{child.pid}-" in path)
    until(lambda: len(open(group + "/cgroup.procs").readlines()) > 32,
          "it has forked")
    child.kill()
    child.communicate()
    run.leaves_nothing()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT,
                                    signal.SIGHUP])
def test_signals_reach_the_command(run, number):
    # What a shell starts in the background ignores some of them.
    child = run.start("--", *SLEEPER, preexec_fn=lambda: signal.signal(
        number, signal.SIG_DFL))
    child.stdout.readline()
    child.send_signal(number)
    child.communicate(timeout=30)
    assert child.returncode == 128 + number


def test_other_descriptors_stay_outside(run):
    """A socket from before would be under no policy."""
    left, right = worlds.socket.socketpair()
    done = run("--", "ls", "/proc/self/fd", pass_fds=[left.fileno()])
    assert done.stdout.split() == ["0", "1", "2", "3"], done  # 3: the folder
    left.close()
    right.close()


@pytest.mark.parametrize("form, read", [("json", json.loads),
                                        ("yaml", yaml.safe_load)])
def test_report_for_programs(run, form, read):
    done = run("-o", form, "--allow", "www.test:80", "--", PYTHON, "-c",
               PROBE)
    assert done.stderr.startswith("{") == (form == "json")
    report = read(done.stderr)
    assert report["names"] == [{"name": "www.test", "addresses": [PAGE]}]
    assert report["attachment"]["calls_refused"] == 2
    assert report["processes_left"] == 0
