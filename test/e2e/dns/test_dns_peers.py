# SPDX-License-Identifier: Apache-2.0
"""Real name servers behind us and real clients before us."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lab import DnsWorld, Site, config, until

SERVERS = {"unbound": "10.20.0.61", "nsd": "10.20.0.62",
           "dnsmasq": "10.20.0.63"}
ZONE = """$ORIGIN peer.test.
$TTL 60
@ IN SOA ns admin 1 3600 600 86400 30
@ IN NS ns
ns IN A 10.20.0.62
www IN A 203.0.113.10
www IN AAAA 2001:db8:b::10
alias IN CNAME www
"""
ALLOW = """
mode: allowlist
dns:
  domains:
    - {allow: peer.test, subdomains: true}
"""


def start_server(world, name, folder):
    address = SERVERS[name]
    path = folder / name
    path.mkdir()
    path.chmod(0o777)
    if name == "unbound":
        file = path / "unbound.conf"
        (path / "zone").write_text(ZONE)
        file.write_text(
            f'server:\n  interface: {address}\n  username: ""\n  chroot: ""\n'
            f'  pidfile: ""\n  directory: "{path}"\n  do-daemonize: no\n'
            '  use-syslog: no\n  access-control: 0.0.0.0/0 allow\n'
            '  local-zone: "test." nodefault\n'
            'remote-control:\n  control-enable: no\n'
            'auth-zone:\n  name: "peer.test"\n  zonefile: zone\n'
            '  for-downstream: yes\n')
        command = ["unbound", "-d", "-c", str(file)]
    elif name == "nsd":
        file = path / "nsd.conf"
        (path / "zone").write_text(ZONE)
        file.write_text(
            f'server:\n  ip-address: {address}\n  username: ""\n  chroot: ""\n'
            f'  zonesdir: "{path}"\n  database: ""\n  pidfile: "{path}/pid"\n'
            f'  xfrdfile: "{path}/xfrd"\n  zonelistfile: "{path}/list"\n'
            '  rrl-ratelimit: 0\n'
            'remote-control:\n  control-enable: no\n'
            'zone:\n  name: peer.test\n  zonefile: zone\n')
        command = ["nsd", "-d", "-c", str(file)]
    else:
        command = ["dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts",
                   "--bind-interfaces", f"--listen-address={address}",
                   "--conf-file=/dev/null", "--user=root", "--local-ttl=60",
                   "--auth-ttl=60", "--pid-file=",
                   "--host-record=www.peer.test,203.0.113.10,2001:db8:b::10",
                   "--cname=alias.peer.test,www.peer.test",
                   "--local=/peer.test/"]
    path = shutil.which(command[0]) or f"/usr/sbin/{command[0]}"
    log = open(folder / f"{name}.log", "wb")
    with log:
        return subprocess.Popen(
            [*world.in_cgroup("agents"), *world.network.enter("a"), path,
             *command[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@pytest.fixture(scope="module")
def peers(host):
    made = DnsWorld(config=config())
    folder = Path(tempfile.mkdtemp(dir=made.folder))
    folder.chmod(0o755)
    processes = []
    try:
        # The servers share the wildcard port with ours: each has an address
        # of its own.
        for address in SERVERS.values():
            made.network.ip("address", "add", f"{address}/32", "dev", "lo",
                            namespace="a")
        processes = [start_server(made, name, folder) for name in SERVERS]
        yield made, folder
    finally:
        for process in processes:
            process.kill()
            process.wait()
        made.end()


@pytest.fixture(params=sorted(SERVERS))
def server(request):
    return request.param


@pytest.fixture(params=["tc", "cgroup"])
def site(request, peers, server):
    world, folder = peers
    made = Site(world, request.param)
    made.folder = folder
    made.attach(ALLOW + f'  upstreams: ["{SERVERS[server]}"]\n')
    until(lambda: made.query("www.peer.test").get("rcode") == "NOERROR",
          f"{server} answers: " + (folder / f"{server}.log").read_text())
    yield made
    world.detach_all()


def run_client(site, *command, resolv="nameserver 198.51.100.53\n"):
    """With a resolv.conf of its own, and nothing else of the host's."""
    path = site.folder / "resolv.conf"
    path.write_text(resolv)
    hosts = site.folder / "nsswitch.conf"
    hosts.write_text("hosts: dns\n")
    prefix = (site.world.network.enter("workload") if site.kind == "tc" else
              [*site.world.in_cgroup("box"),
               *site.world.network.enter("router")])
    script = (f"mount --bind {path} /etc/resolv.conf && "
              f"mount --bind {hosts} /etc/nsswitch.conf && exec \"$@\"")
    return subprocess.run([*prefix, "unshare", "-m", "sh", "-c", script, "sh",
                           *map(str, command)], text=True, timeout=60,
                          capture_output=True)


CLIENTS = Path(__file__).resolve().parent.parent / "tools" / "dns_lookup.c"


@pytest.fixture(scope="module")
def lookups(tmp_path_factory):
    """The same small program with glibc, musl and c-ares."""
    folder = tmp_path_factory.mktemp("lookups")
    made = {}
    for name, command in {
            "glibc": ["gcc"], "musl": ["musl-gcc", "-static"],
            "c-ares": ["gcc", "-DWITH_ARES", "-lcares"]}.items():
        made[name] = folder / f"lookup-{name}"
        flags = [part for part in command[1:] if part.startswith("-l")]
        rest = [part for part in command if part not in flags]
        done = subprocess.run([*rest, "-O1", "-o", str(made[name]),
                               str(CLIENTS), *flags], capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stderr
    folder.chmod(0o755)
    return made


@pytest.mark.parametrize("client", ["glibc", "musl", "c-ares"])
def test_programs_find_names_with_their_library(site, lookups, client):
    for name in ("www.peer.test", "alias.peer.test"):
        done = run_client(site, lookups[client], name)
        assert done.returncode == 0, done.stderr + site.world.logs()
        assert sorted(done.stdout.split()) == ["2001:db8:b::10",
                                               "203.0.113.10"]
    assert site.is_open("203.0.113.10")
    done = run_client(site, lookups[client], "www.other.test")
    assert done.returncode == 1 and not done.stdout


def test_kdig_is_content(site):
    done = run_client(site, "kdig", "+short", "alias.peer.test", "A")
    assert "203.0.113.10" in done.stdout.split(), done.stderr
    done = run_client(site, "kdig", "+tcp", "+short", "www.peer.test", "AAAA")
    assert done.stdout.split() == ["2001:db8:b::10"], done.stderr
    done = run_client(site, "kdig", "www.other.test", "A")
    assert "REFUSED" in done.stdout
