# SPDX-License-Identifier: Apache-2.0
"""Peers that nobody here wrote, made of the project's proto files: a control
plane of @grpc/grpc-js, `buf curl` on the local API, promtool on the metrics, and
shells that read their completions. They come from npm into the build folder, or
as large packages (make check-peers), and so are no part of `make check`."""

import json
import subprocess

import pytest

from planes import Plane, kernel_becomes, take_over, with_keepalive
from test_metrics import agent_in
from traffic import A, B, each
from world import BUILD, HERE, QUICK, ROOT, run

MODULES = BUILD.resolve() / "peers" / "node_modules"
BUF = MODULES / ".bin" / "buf"
# A single thread reads and writes there: it may be busy for a while.
WORLD = {"config": QUICK + with_keepalive("10s") +
         "  subscribe_timeout: 2s\n"}


class NodePlane(Plane):
    def command(self, listen, options):
        return ["node", str(HERE / "peers" / "plane.js"), str(MODULES),
                str(ROOT / "proto"), listen]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completions_can_be_read(shell):
    run("make", "-C", ROOT, f"B={BUILD.resolve()}", "man")
    run(shell, "-n", BUILD / "completions" / shell)


@pytest.fixture
def plane(clean, stubs):
    made = NodePlane(clean, stubs)
    yield made
    made.close()


def test_grpc_js_sees_everything_and_its_policy_is_enforced(plane, target):
    world = target.world
    assert plane.sync() == {}
    first = plane.all("sync_request")[0]
    assert first.daemon_id == world.ok("status")["daemon_id"]
    ident = take_over(plane, world, target, cidrs=[
        "10.20.0.0/16", plane.rule("fd20::/16", ports=["80"])])
    target.judge(each(A, True, ("tcp", "udp")) + each(B, False))
    plane.do(ident, 2, allow_cidr=plane.pb.AllowCIDR(
        cidr=B[4], ttl_seconds=3600))
    target.judge(each(B, True, families=(4,)))
    assert plane.do(ident, 2, bulk_update=plane.bulk()).repeated
    plane.refused("bulk_update.dns", ident=ident, revision=3,
                  bulk_update=plane.bulk(dns=False))
    beat = plane.event("heartbeat", lambda event: any(
        one.id == ident and one.packets_allowed for one in event.attachments))
    assert beat.dataplane_connected
    plane.end_stream()
    known = plane.sync(2)
    assert known[ident].applied_revision == 2
    plane.do(ident, 2**60, bulk_update=plane.bulk([B[6]]))
    kernel_becomes(world, {B[6] + "/128": 1})
    world.ok("detach", ident)
    plane.event("unsubscribed", lambda event: event.id == ident)


def test_grpc_js_takes_and_gives_large_messages(plane, interface):
    world = interface.world
    plane.sync()
    ident = take_over(plane, world, interface)
    plane.do(ident, 2, bulk_update=plane.bulk(
        [f"10.50.{i // 256}.{i % 256}" for i in range(50000)]))
    assert interface.show()["rules"] == 50000


def curl(world, method, **fields):
    """Answers as JSON of the standard mapping."""
    done = subprocess.run(
        [str(BUF), "curl", "--schema", str(ROOT / "proto"), "--protocol",
         "grpc", "--http2-prior-knowledge", "--unix-socket",
         str(world.api_path), "--data", json.dumps(fields),
         f"http://localhost/sentinel.v1.DaemonService/{method}"],
        text=True, capture_output=True, timeout=60)
    if done.returncode:
        return done.returncode, json.loads(done.stderr)
    return 0, json.loads(done.stdout)


def test_buf_curl_speaks_the_local_api(clean):
    """Attach, change, read and end, by another client's reading of the files."""
    code, status = curl(clean, "GetStatus")
    assert code == 0 and status["daemonId"]
    code, made = curl(clean, "Attach", interfaceName="w0", policy={
        "mode": "MODE_ALLOWLIST",
        "rules": [{"verdict": "VERDICT_ALLOW", "cidr": "10.20.0.0/16",
                   "ports": ["443/tcp"]}]})
    assert code == 0, made
    code, answer = curl(clean, "AllowCIDR", id=made["id"], cidr=A[6],
                        ttlSeconds="60")
    assert code == 0 and answer["ruleId"] == 2
    code, answer = curl(clean, "GetRules", id=made["id"])
    assert [rule["cidr"] for rule in answer["rules"]] == \
        ["10.20.0.0/16", A[6] + "/128"]
    code, answer = curl(clean, "AllowCIDR", id=made["id"], cidr="10.0.0.1/8")
    assert code and answer["code"] == "invalid_argument"
    assert "cidr" in answer["message"]
    assert curl(clean, "Detach", id=made["id"])[0] == 0
    code, answer = curl(clean, "Get", id=made["id"])
    assert code and answer["code"] == "not_found"


def test_buf_finds_nothing_in_the_proto_files():
    done = run(BUF, "lint", ROOT / "proto", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_has_nothing_to_say_about_the_metrics(target):
    target.attach(policy="cidrs:\n  - allow: 10.20.0.0/16\n")
    # Nobody speaks for the control plane, so it stays closed.
    target.judge(each(A, False, families=(4,)))
    page = agent_in(target.world).get(port=9102)["body"]
    done = subprocess.run(["promtool", "check", "metrics"], text=True,
                          input=page, capture_output=True, timeout=60,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
