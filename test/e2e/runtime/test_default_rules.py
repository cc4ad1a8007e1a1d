# SPDX-License-Identifier: Apache-2.0
"""The rules of etc/rules.yaml on real processes: each finds what does the thing,
none what nearly does it, what installs a package, nor what a host that idles does
by itself. Done in a chroot of its own
with this host's files below, so that nothing of the host changes."""

import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import yaml

import world as worlds

PLACE = Path(tempfile.gettempdir()) / f"{worlds.TAG}-{os.getpid()}-rules"
RULES = worlds.ROOT / "etc" / "rules.yaml"
CONFIG = f"""\
  budget:
    rate: 0
detection:
  rules: {PLACE}/rules.yaml
  rate: 0
  memory: 16MiB
"""
CONTAINER = "docker-" + "0123456789abcdef" * 4 + ".scope"
# A module is not loaded for a test; its events are in test/golden/rules.
NOT_DONE = {"kernel-module-from-elsewhere"}

# tmpfs over the folder, this host's files under it; devices and proc of its own.
ENTER = f"""\
mount -t tmpfs tmpfs {PLACE}/tree && cd {PLACE}/tree && mkdir upper work all &&
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work all &&
cp {PLACE}/deed.deb all/deed.deb && cd all &&
mkdir -p dev/shm dev/pts sys/fs/cgroup/x && mknod -m 666 dev/null c 1 3 &&
mknod -m 666 dev/zero c 1 5 && mknod -m 666 dev/urandom c 1 9 &&
mknod -m 666 dev/dm-99 c 1 3 && mount -t proc proc proc &&
exec chroot . /bin/sh
"""
PREPARE = """\
set -e
mkdir -p /root/.ssh /root/.aws /var/lib/kubelet/pods/1 /etc/cron.d \
    /etc/sudoers.d /opt /run/secrets/kubernetes.io/serviceaccount/..1
for file in /root/.ssh/id_rsa /root/.ssh/id_rsa.pub /root/.aws/credentials \
    /root/.aws/config /var/lib/kubelet/pods/1/token /var/lib/kubelet/pods/1/x \
    /run/secrets/kubernetes.io/serviceaccount/..1/token \
    /run/secrets/kubernetes.io/serviceaccount/..1/namespace /opt/file
do echo x >$file; done
cp $(readlink -f /usr/bin/python3) /usr/sbin/nginx
for file in /dev/shm/deed /tmp/deed /opt/xmrig /opt/deed
do cp $(readlink -f /bin/true) $file; done
"""
PYTHON = "/usr/bin/python3 -I -c"
CONNECT = (f"{PYTHON} 'import socket; socket.socket().connect_ex("
           '("203.0.113.7", %d))' + "'")
TRACE = (f"{PYTHON} 'import ctypes, os; libc = ctypes.CDLL(None)\n"
         "pid = os.fork()\n"
         "if pid == 0: os.execv(\"/bin/sleep\", [\"sleep\", \"60\"])\n"
         "%s\n"
         "os.kill(pid, 9); os.waitpid(pid, 0)'")
MEMORY = (f"{PYTHON} 'import os; memory = os.memfd_create(\"deed\"); "
          "os.write(memory, open(\"/bin/true\", \"rb\").read())%s'")
BPF = (f"{PYTHON} 'import ctypes, struct\n"
       "code = ctypes.create_string_buffer(bytes([0xb7] + [0] * 7 + [0x95] + "
       "[0] * 7))\n"
       "licence = ctypes.create_string_buffer(b\"GPL\")\n"
       "what = struct.pack(\"<IIQQ\", 1, 2, ctypes.addressof(code), "
       "ctypes.addressof(licence)) if %d == 5 else "
       "struct.pack(\"<IIII\", 2, 4, 4, 1)\n"
       "what = ctypes.create_string_buffer(what, 120)\n"
       "assert ctypes.CDLL(None).syscall(%d, %d, what, 120) >= 0'")
BPF_CALL = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
TOKEN = "/run/secrets/kubernetes.io/serviceaccount/..1/"

# By rule: what does it, what nearly does.
DEEDS = {
    "password-file-read": ("cat /etc/shadow", "cat /etc/passwd"),
    "ssh-private-key-read": ("cat /root/.ssh/id_rsa",
                             "cat /root/.ssh/id_rsa.pub"),
    "cloud-credentials-read": ("cat /root/.aws/credentials",
                               "cat /root/.aws/config"),
    "service-account-token-shown": (f"cat {TOKEN}token",
                                    f"cat {TOKEN}namespace"),
    "service-account-token-taken": ("cat /var/lib/kubelet/pods/1/token",
                                    "cat /var/lib/kubelet/pods/1/x"),
    "shell-of-a-server": (
        "/usr/sbin/nginx -I -c 'import subprocess; "
        "subprocess.run([\"/bin/sh\", \"-c\", \"true\"])'",
        "/bin/sh -c '/bin/sh -c true; true'"),
    "program-without-file": (
        MEMORY % "; os.execve(memory, [\"deed\"], {})", MEMORY % ""),
    "program-in-shared-memory": ("/dev/shm/deed", "cat /dev/shm/deed"),
    "program-in-temporary-folder": ("/tmp/deed", "cat /tmp/deed"),
    "miner-started": ("/opt/xmrig", "/opt/deed xmrig"),
    "mining-pool-connected": (CONNECT % 3333, CONNECT % 443),
    "system-program-changed": ("echo x >>/usr/bin/deed",
                               "echo x >>/usr/local/bin/deed"),
    "loader-preload-changed": (
        "echo >/etc/ld.so.preload; rm /etc/ld.so.preload",
        "echo >/etc/ld.so.preloaded"),
    "scheduled-job-changed": ("echo >/opt/job; mv /opt/job /etc/cron.d/deed",
                              "ls /etc/cron.d"),
    "ssh-login-key-changed": ("echo x >>/root/.ssh/authorized_keys",
                              "echo x >>/root/.ssh/known_hosts"),
    "accounts-changed": ("echo >/etc/sudoers.d/deed", "useradd deed"),
    "privileged-program-made": ("chmod u+s /opt/file", "chmod 755 /opt/file"),
    "mount-in-container": ("mount -t tmpfs tmpfs /mnt", "umount /nothing"),
    "host-device-in-container": ("cat /dev/dm-99", "cat /dev/zero | head -c1"),
    "kernel-helper-changed": ("echo >/sys/fs/cgroup/x/release_agent",
                              "echo >/sys/fs/cgroup/x/cgroup.procs"),
    "namespace-entered-from-container": ("nsenter --version", "ls"),
    "foreign-process-traced": (
        TRACE % "libc.ptrace(16, pid, 0, 0); os.waitpid(pid, 0)",
        TRACE % "libc.ptrace(16, 1 << 22, 0, 0)"),
    "kernel-program-loaded": (BPF % (5, BPF_CALL or 0, 5),
                              BPF % (0, BPF_CALL or 0, 0)),
}
IN_CONTAINER = {name for name in DEEDS if "container" in name}
# What timers, cron and agents do on a host that nobody uses, by what has to be
# there. The apt that cron has waits half an hour where systemd does not run.
CHORES = {
    "/usr/bin/run-parts":
        "mkdir -p /run/systemd/system && for each in hourly daily weekly; "
        "do test ! -d /etc/cron.$each || run-parts /etc/cron.$each; done",
    "/usr/bin/systemd-tmpfiles": "systemd-tmpfiles --create --clean",
    "/usr/lib/apt/apt.systemd.daily":
        "/usr/lib/apt/apt.systemd.daily update; apt-get check",
    "/usr/libexec/dpkg/dpkg-db-backup": "/usr/libexec/dpkg/dpkg-db-backup",
    "/usr/sbin/logrotate": "logrotate -f /etc/logrotate.conf",
    "/usr/sbin/ldconfig": "ldconfig",
    "/usr/bin/su": "su root -c true; su nobody -s /bin/sh -c true",
    "/usr/bin/ss": "ss -tan && ip -brief address && cat /proc/mounts",
    "/usr/bin/ps": "ps axf && df && uptime && who && id root && last",
}


def make_package():
    tree = PLACE / "package"
    for path, content, mode in (
            ("DEBIAN/control", "Package: deed\nVersion: 1\nArchitecture: all\n"
             "Maintainer: nobody <nobody@example.org>\nDescription: deeds\n",
             0o644),
            ("DEBIAN/preinst", "#!/bin/sh\nuseradd --system deed\n", 0o755),
            ("DEBIAN/postinst", "#!/bin/sh\nldconfig\n", 0o755),
            ("DEBIAN/postrm", "#!/bin/sh\nldconfig\n", 0o755),
            ("usr/bin/deed", "#!/bin/sh\n", 0o4755),
            ("usr/lib/deed/libdeed.so.1", "x", 0o644),
            ("etc/cron.d/deed", "", 0o644),
            ("etc/sudoers.d/deed", "", 0o440)):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
        (tree / path).chmod(mode)
    worlds.run("dpkg-deb", "--root-owner-group", "-b", tree,
               PLACE / "deed.deb")


@pytest.fixture(scope="module", autouse=True)
def place(host):
    PLACE.mkdir()
    PLACE.chmod(0o755)
    (PLACE / "tree").mkdir()
    (PLACE / "rules.yaml").write_bytes(RULES.read_bytes())
    make_package()
    yield
    worlds.run("rm", "-r", PLACE)


class Box:
    """A shell in the chroot, in a cgroup of its own and without a network."""

    def __init__(self, world):
        self.world = world
        self.plain = world.cgroup("deeds")
        self.inner = self.plain / CONTAINER
        self.inner.mkdir()
        self.child = subprocess.Popen(
            [*world.in_cgroup("deeds"), "unshare", "-m", "-n",
             "--propagation", "private", "sh", "-c", ENTER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})

    def run(self, command):
        """Its exit status, and what it complained of."""
        self.child.stdin.write(f"({command}) >/dev/null 2>/said </dev/null\n"
                               "echo $?; tr '\\n' '~' </said; echo\n")
        self.child.stdin.flush()
        return (int(self.child.stdout.readline()),
                self.child.stdout.readline())

    def do(self, command, contained=False):
        folder = self.inner if contained else self.plain
        (folder / "cgroup.procs").write_text(str(self.child.pid))
        return self.run(command)

    def found(self):
        """What was found of it, the oldest first."""
        answer = self.world.ctl("findings", "-o", "json")
        assert answer.code == 0, answer
        root = "/" + str(self.plain.relative_to(worlds.cgroup_mount()))
        found = [json.loads(line) for line in answer.out.splitlines()]
        return [one for one in found if one["event"] and
                one["event"]["process"]["cgroup"].startswith(root)]

    def end(self):
        self.child.stdin.close()
        self.child.wait(worlds.LIMIT_S)
        self.child.stdout.close()
        self.inner.rmdir()


@pytest.fixture(scope="module")
def box(world):
    worlds.until(lambda: world.ok("status")["detection"]["in_force"],
                 "the rules are in force")
    made = Box(world)
    assert made.run(PREPARE) == (0, "\n")
    yield made
    made.end()


def last(box, rule, command):
    """Does what the rule finds and waits for it: all before was told by then."""
    count = len([one for one in box.found() if one["rule"] == rule])
    box.do(command)
    worlds.until(lambda: len([one for one in box.found()
                              if one["rule"] == rule]) > count, rule)


def since(box, begin_ns):
    """Without what is summed: it was begun before."""
    return [one for one in box.found() if one["event"]["time_ns"] >= begin_ns
            and not one["event"]["summed"]]


def test_every_rule_is_done():
    names = {rule["name"] for rule in yaml.safe_load(RULES.read_text())["rules"]}
    assert names == DEEDS.keys() | NOT_DONE


def test_what_nearly_does_it_is_not_found(box):
    begin = time.time_ns()
    for rule, (_, near) in DEEDS.items():
        if rule == "kernel-program-loaded" and not BPF_CALL:
            continue
        code, said = box.do(near, rule in IN_CONTAINER)
        assert code == 0 or rule == "mount-in-container", (rule, said)
    for rule in IN_CONTAINER:
        box.do(DEEDS[rule][0] + "; umount /mnt")
    last(box, "password-file-read", "cat /etc/shadow")
    assert [(one["rule"], one["text"]) for one in since(box, begin)][:-1] == []


@pytest.mark.parametrize("rule", DEEDS)
def test_what_does_it_is_found(box, rule):
    if rule == "kernel-program-loaded" and not BPF_CALL:
        pytest.skip("the number of bpf(2) is not known here")
    begin = time.time_ns()
    code, said = box.do(DEEDS[rule][0], rule in IN_CONTAINER)
    assert code == 0, said
    worlds.until(lambda: rule in {one["rule"] for one in since(box, begin)},
                 rule)
    assert {one["rule"] for one in since(box, begin)} == {rule}


def test_a_package_is_installed_in_silence(box):
    begin = time.time_ns()
    box.do("rm -f /etc/cron.d/deed /etc/sudoers.d/deed /usr/bin/deed; "
           "userdel deed")
    code, said = box.do(
        "DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Use-Pty=0 "
        "-o APT::Sandbox::User=root install /deed.deb && dpkg -s deed && "
        "dpkg -r deed && ls -l / && id")
    assert code == 0, said
    last(box, "password-file-read", "cat /etc/shadow")
    assert [(one["rule"], one["text"]) for one in since(box, begin)][:-1] == []


@pytest.mark.parametrize("needed", CHORES)
def test_what_an_idle_host_does_by_itself_is_silent(box, needed):
    if not os.access(needed, os.X_OK):
        pytest.skip(f"{needed} is not installed here")
    begin = time.time_ns()
    code, said = box.do(CHORES[needed])
    assert code == 0, said
    last(box, "password-file-read", "cat /etc/shadow")
    assert [(one["rule"], one["text"]) for one in since(box, begin)][:-1] == []
