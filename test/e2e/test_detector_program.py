# SPDX-License-Identifier: Apache-2.0
"""build/sentinel-detector and etc/examples/detector.py to a client that is none
of ours: python3-grpcio with stubs made from the contract."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

import world as worlds
from test_control_tls import Authority

BUILD = Path(os.environ.get("SENTINEL_BUILD", worlds.ROOT / "build"))
LIMIT_S = 30
STREAM = "/sentinel.v1.DetectorService/StreamEvents"


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stubs")
    for proto in ("sentinel/v1/detector.proto", "grpc/health/v1/health.proto"):
        worlds.run("/usr/bin/python3", "-m", "grpc_tools.protoc",
                   f"-I{worlds.ROOT / 'proto'}", f"--python_out={folder}",
                   f"--grpc_python_out={folder}", proto)
    return folder


@pytest.fixture(scope="module")
def pb(stubs):
    """The messages alone: what is generated for services imports its own path."""
    sys.path.insert(0, str(stubs))
    try:
        from sentinel.v1 import detector_pb2
    finally:
        sys.path.remove(str(stubs))
    return detector_pb2


def free_port():
    """Below those that the kernel chooses from for others meanwhile."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(
        encoding="ascii").split()[0])
    for port in range(first - 1, 1024, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise AssertionError("no port is free")


class Program:
    def __init__(self, log, *command):
        self.log = log
        with open(log, "wb") as out:
            self.child = subprocess.Popen(list(map(str, command)), stderr=out,
                                          stdout=out)

    def text(self):
        return self.log.read_text(encoding="utf-8")

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(LIMIT_S)


@pytest.fixture
def serve(tmp_path):
    """serve(options...): a port and the program on it."""
    made = []

    def start(*options):
        port = free_port()
        made.append(Program(tmp_path / f"log{len(made)}",
                            BUILD / "sentinel-detector", "--listen",
                            f"127.0.0.1:{port}", *options))
        return port, made[-1]
    yield start
    for one in made:
        if one.child.poll() is None:
            one.child.kill()
            one.child.wait(LIMIT_S)


def ready(channel):
    grpc.channel_ready_future(channel).result(timeout=LIMIT_S)
    return channel


def plain(port):
    return ready(grpc.insecure_channel(f"127.0.0.1:{port}"))


def stream(pb, channel, events, limit_s=LIMIT_S):
    call = channel.stream_stream(
        STREAM, request_serializer=pb.EventEnvelope.SerializeToString,
        response_deserializer=pb.DetectionResponse.FromString)
    return call(iter(events), timeout=limit_s)


def event(pb, number, kind="file_write", **data):
    return pb.EventEnvelope(event_id=f"id{number}", event_type=kind,
                            hostname="h", data={"comm": "sh", **data})


def test_each_event_is_answered_and_what_is_unusual_found(serve, pb):
    port, program = serve("--bytes", "1000")
    began = time.time()
    with plain(port) as channel:
        answers = list(stream(pb, channel, [
            event(pb, 1, filename="/etc/hosts"),
            event(pb, 2, filename="/srv/x"),
            event(pb, 3, "file_read", filename="/srv/x", bytes="1001")]))
    assert [(one.event_id, one.anomaly) for one in answers] == [
        ("id1", True), ("id2", False), ("id3", True)]
    assert answers[0].reason == "file_write below /etc: /etc/hosts by sh"
    assert 0 < answers[2].score < answers[0].score <= 1
    assert began - 1 < answers[0].ts.ToSeconds() < began + LIMIT_S
    assert program.end() == 0
    assert "anomaly host=h event_id=id1" in program.text()
    assert "stopped events=3 anomalies=2" in program.text()


def test_many_streams_of_many_events(serve, pb):
    port, _ = serve("--sensitive", "/srv/keys/", "--usual", "sh")
    n = 2000
    channels = [plain(port) for _ in range(8)]
    calls = [stream(pb, channel, [
        event(pb, f"{i}-{j}", filename="/srv/keys/a" if j % 10 == 0 else
              "/srv/keysafe") for j in range(n)], 8 * LIMIT_S)
        for i, channel in enumerate(channels)]
    for i, call in enumerate(calls):
        assert [(one.event_id, one.anomaly) for one in call] == [
            (f"id{i}-{j}", j % 10 == 0) for j in range(n)]
    for channel in channels:
        channel.close()


def test_reports_are_taken_and_logged(serve, pb):
    port, program = serve()
    with plain(port) as channel:
        call = channel.unary_unary(
            "/sentinel.v1.DetectorService/ReportAnomaly",
            request_serializer=pb.AnomalyReport.SerializeToString,
            response_deserializer=lambda bytes_: bytes_)
        assert call(pb.AnomalyReport(event_id="e7", reason="odd\nline",
                                     score=0.5), timeout=LIMIT_S) == b""
    assert program.end() == 0
    assert "report event_id=e7 score=0.50 reason='odd?line'" in program.text()


def test_health_is_what_its_clients_expect(serve, stubs):
    port, program = serve()
    code = f"""
import sys
sys.path.insert(0, {str(stubs)!r})
import importlib.util, grpc
spec = importlib.util.spec_from_file_location(
    "health_pb2", {str(stubs / 'grpc/health/v1/health_pb2.py')!r})
pb = importlib.util.module_from_spec(spec); spec.loader.exec_module(pb)
channel = grpc.insecure_channel("127.0.0.1:{port}")
def ask(kind, method, service):
    call = getattr(channel, kind)("/grpc.health.v1.Health/" + method,
        request_serializer=pb.HealthCheckRequest.SerializeToString,
        response_deserializer=pb.HealthCheckResponse.FromString)
    return call(pb.HealthCheckRequest(service=service), timeout={LIMIT_S},
                wait_for_ready=True)
for service in "", "sentinel.v1.DetectorService":
    print(ask("unary_unary", "Check", service).status)
try:
    ask("unary_unary", "Check", "other")
except grpc.RpcError as error:
    print(error.code().name)
print(next(ask("unary_stream", "Watch", "")).status)
print(next(ask("unary_stream", "Watch", "other")).status)
"""
    done = worlds.run("/usr/bin/python3", "-c", code)
    assert done.stdout.split() == ["1", "1", "NOT_FOUND", "1", "3"]
    assert program.end() == 0


@pytest.mark.parametrize("what, code", [
    (b"\xff\xff\xff", "INVALID_ARGUMENT"),
    (b"\x0a\x02\xff\xfe", "INVALID_ARGUMENT"),
    (b"\x0a\x80\x80\x10" + b"x" * (1 << 18), "RESOURCE_EXHAUSTED")],
    ids=["no-message", "no-text", "too-large"])
def test_rubbish_ends_its_stream_alone(serve, pb, what, code):
    port, program = serve()
    with plain(port) as channel:
        call = channel.stream_stream(STREAM, request_serializer=bytes,
                                     response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as error:
            list(call(iter([what]), timeout=LIMIT_S))
        assert error.value.code().name == code
        answer, = stream(pb, channel, [event(pb, 1, filename="/srv")])
        assert not answer.anomaly
    assert program.end() == 0


def test_a_port_in_use_is_told(serve):
    port, _ = serve()
    with plain(port):
        done = worlds.run(BUILD / "sentinel-detector", "--listen",
                          f"127.0.0.1:{port}", check=False)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize("options, text", [
    (("--listen", "127.0.0.1:99999"), "is not ADDRESS:PORT"),
    (("--listen", "example.test:1"), "is not ADDRESS:PORT"),
    (("--tls-key", "k"), "go together"),
    (("--sensitive", "etc"), "is not absolute"),
    (("--bytes", "-1"), "is no number"),
    (("more",), "there are no arguments")])
def test_what_is_wrong_on_the_command_line_is_told(options, text):
    done = worlds.run(BUILD / "sentinel-detector", *options, check=False)
    assert done.returncode == 2 and text in done.stderr


def test_tls_wants_a_certificate_of_the_stated_authority(serve, pb, tmp_path):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    cert, key = ours.issue("server", "IP:127.0.0.1")
    port, program = serve("--tls-certificate", cert, "--tls-key", key,
                          "--tls-client-ca", ours.cert)

    def connect(pair):
        credentials = grpc.ssl_channel_credentials(
            ours.cert.read_bytes(),
            *(pair and (pair[1].read_bytes(), pair[0].read_bytes())))
        return grpc.secure_channel(f"127.0.0.1:{port}", credentials)

    with ready(connect(ours.issue("host", "DNS:host"))) as channel:
        answer, = stream(pb, channel, [event(pb, 1, filename="/etc/x")])
        assert answer.anomaly
    for pair in ((), others.issue("stranger", "DNS:host")):
        with connect(pair) as channel, pytest.raises(grpc.RpcError) as error:
            list(stream(pb, channel, [event(pb, 1)]))
        assert error.value.code().name == "UNAVAILABLE"
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"],
        input=b"", capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode != 0
    assert program.end() == 0
    assert "stopped events=1 " in program.text()


def test_the_example_answers(tmp_path, stubs, pb):
    port = free_port()
    program = Program(tmp_path / "log", sys.executable,
                      worlds.ROOT / "etc/examples/detector.py", stubs,
                      f"127.0.0.1:{port}")
    try:
        with plain(port) as channel:
            answers = list(stream(pb, channel, [
                *(event(pb, i, filename="/a") for i in range(300)),
                event(pb, 300, "module_load")]))
        assert [one.event_id for one in answers if one.anomaly] == ["id300"]
        assert answers[300].reason == "sh seldom does module_load"
    finally:
        program.child.kill()
        program.child.wait(LIMIT_S)
