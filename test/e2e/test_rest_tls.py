# SPDX-License-Identifier: Apache-2.0
"""The API over TLS: who may call, as what, and who may not. By curl."""

import datetime
import hashlib
import json
import os
import pwd
import secrets
import signal
import subprocess

import pytest

from world import USER, until

PORT = 9443
URL = f"https://localhost:{PORT}"
CONFIG = """
metrics: {{listen: ""}}
health: {{listen: ""}}
rest:
  listen: 127.0.0.1:{port}
  certificate: {folder}/server.pem
  key: {folder}/server.key
  client_ca: {folder}/ca.pem
  callers: {folder}/callers
  hosts: [sentinel.example]
  max_connections: 48
"""


class Keys:
    """Certificates and tokens in a folder of the world's."""

    def __init__(self, world):
        self.world = world
        self.folder = world.folder / "tls"
        self.folder.mkdir()
        self.tokens = {name: secrets.token_hex(32) for name in
                       ("viewer", "operator", "admin", "expired", "later")}
        self.make_authority("server", "subjectAltName=DNS:localhost")
        self.make_authority("ca")
        self.make_authority("stranger")
        self.make_client("client")
        self.make_client("unlisted")
        self.make_client("short")
        self.write_callers()

    def openssl(self, *arguments, **options):
        return subprocess.run(["openssl", *arguments], check=True,
                              cwd=self.folder, capture_output=True, **options)

    def make_authority(self, name, *extensions):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                     f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                     "-subj", f"/CN={name}",
                     *(x for text in extensions for x in ("-addext", text)))
        account = pwd.getpwnam(USER)
        for end in ("pem", "key"):
            os.chown(self.folder / f"{name}.{end}", 0, account.pw_gid)
            (self.folder / f"{name}.{end}").chmod(0o640)

    def make_client(self, name):
        self.openssl("req", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                     f"{name}.key", "-out", f"{name}.csr", "-subj",
                     f"/CN={name}")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem",
                     "-CAkey", "ca.key", "-days", "2", "-out", f"{name}.pem")

    def end_client(self, name, seconds):
        """Its key gets a certificate that expires."""
        (self.folder / "index").write_text("")
        (self.folder / "ca.conf").write_text(
            "[ca]\ndefault_ca = one\n[one]\ndatabase = index\n"
            "new_certs_dir = .\nrand_serial = yes\ndefault_md = sha256\n"
            "policy = any\n[any]\ncommonName = supplied\n")
        until_time = datetime.datetime.utcnow() + datetime.timedelta(
            seconds=seconds)
        self.openssl("ca", "-batch", "-notext", "-config", "ca.conf", "-cert",
                     "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr",
                     "-out", f"{name}.pem", "-enddate",
                     until_time.strftime("%Y%m%d%H%M%SZ"))

    def key_hash(self, name):
        pem = self.openssl("x509", "-in", f"{name}.pem", "-noout",
                           "-pubkey").stdout
        der = self.openssl("pkey", "-pubin", "-outform", "DER",
                           input=pem).stdout
        return hashlib.sha256(der).hexdigest()

    def write_callers(self, without=(), soon=None):
        """soon: seconds until the token `later` expires."""
        past = "2020-01-01T00:00:00Z"
        lasts = datetime.timedelta(days=1) if soon is None else \
            datetime.timedelta(seconds=soon)
        future = (datetime.datetime.utcnow() + lasts
                  ).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines = ["# who may"]
        for name, role, until_time in (
                ("viewer", "viewer", ""), ("operator", "operator", ""),
                ("admin", "admin", ""), ("expired", "admin", past),
                ("later", "viewer", future)):
            digest = hashlib.sha256(self.tokens[name].encode()).hexdigest()
            if name not in without:
                lines.append(f"{name} {role} token {digest} {until_time}")
        for name in ("client", "stranger", "short"):
            lines.append(f"{name} operator certificate {self.key_hash(name)}")
        path = self.folder / "callers"
        path.write_text("\n".join(lines) + "\n")
        os.chown(path, 0, pwd.getpwnam(USER).pw_gid)
        path.chmod(0o640)


@pytest.fixture(scope="module")
def keys(world):
    made = Keys(world)
    world.config.write_text(CONFIG.format(port=PORT, folder=made.folder))
    return made


@pytest.fixture
def curl(world, keys):
    """The daemon anew, so that nothing of a test before is held against us."""
    if world.cp:
        world.kill_cp()
    world.ensure_daemons()

    def call(method, message=None, token=None, cert=None, options=(),
             url=URL):
        arguments = ["-sS", "--max-time", "20", "--cacert",
                     str(keys.folder / "server.pem"), "-w", "\n%{http_code}",
                     *options]
        if token:
            arguments += ["-H", "Authorization: Bearer " +
                          keys.tokens.get(token, token)]
        if cert:
            arguments += ["--cert", str(keys.folder / f"{cert}.pem"),
                          "--key", str(keys.folder / f"{cert}.key")]
        if message is not None:
            arguments += ["-H", "Content-Type: application/json", "-d",
                          json.dumps(message)]
        done = subprocess.run(
            [*world.network.enter("router"), "curl", *arguments,
             f"{url}{method}"], capture_output=True, text=True)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), (json.loads(body) if body else done.returncode)

    until(lambda: call("/v1/GetStatus", token="viewer")[0] == 200,
          "it listens")
    yield call
    world.ensure_daemons()
    world.detach_all()


def test_roles_say_what_a_token_may(curl, world):
    attach = {"interfaceName": "w0"}
    assert curl("/v1/List", token="viewer")[0] == 200
    assert curl("/openapi.json", token="viewer")[0] == 200
    assert curl("/v1/Attach", attach, token="viewer")[0] == 403
    status, body = curl("/v1/Attach", attach, token="operator")
    assert status == 403 and body["code"] == "PERMISSION_DENIED"
    status, made = curl("/v1/Attach", attach, token="admin")
    assert status == 200
    change = {"id": made["id"], "mode": "MODE_BLOCK_ALL"}
    assert curl("/v1/SetMode", change, token="viewer")[0] == 403
    assert curl("/v1/SetMode", change, token="operator")[0] == 200
    assert curl("/v1/Detach", {"id": made["id"]}, token="operator")[0] == 403
    assert curl("/v1/Detach", {"id": made["id"]}, token="admin")[0] == 200
    log = (world.folder / "sentinel-cp.log").read_text()
    assert f"audit method=SetMode caller=operator id={made['id']}" in log
    assert f"audit method=Detach caller=admin id={made['id']}" in log


def test_certificates_are_callers_too(curl):
    assert curl("/v1/List", cert="client")[0] == 200
    assert curl("/v1/Detach", {"id": "x"}, cert="client")[0] == 403
    assert curl("/v1/SetMode", {"id": "x"}, cert="client")[0] == 400
    # A token is what counts where there is one.
    assert curl("/v1/SetMode", {"id": "x"}, cert="client",
                token="viewer")[0] == 403
    # The authority's, but nobody listed it; listed, but of no authority.
    assert curl("/v1/List", cert="unlisted")[0] == 401
    assert curl("/v1/List", cert="stranger")[0] == 401


@pytest.mark.parametrize("token", [
    None, "expired", "x", "0" * 64, "", "\t"])
def test_without_a_credential_there_is_nothing(curl, token):
    for path in ("/v1/List", "/v1/GetStatus", "/openapi.json"):
        status, body = curl(path, token=token)
        assert status == 401 and body["code"] == "UNAUTHENTICATED"
    assert curl("/v1/Attach", {}, token=token)[0] == 401


def test_refusals_are_told_and_are_no_changes(curl, world):
    """Whoever asks can have one told, so these lines have the log's limit, which
    the trail of changes does not."""
    assert curl("/v1/List", token="x")[0] == 401
    lines = [line for line in (world.folder / "sentinel-cp.log").read_text()
             .splitlines() if "rest-refused from=127.0.0.1" in line]
    assert lines and not any("audit" in line for line in lines)


@pytest.mark.parametrize("header", [
    "Authorization: Basic YWRtaW46YWRtaW4=", "Authorization: {0}",
    "Authorization: Bearer{0}", "Authorization: Bearer {0} x",
    "Authorization: Bearer {0}x", "X-Authorization: Bearer {0}"])
def test_a_token_is_in_one_form(curl, keys, header):
    header = header.format(keys.tokens["admin"])
    assert curl("/v1/List", options=["-H", header])[0] == 401


def test_two_tokens_are_none(curl, keys):
    assert curl("/v1/List", token="viewer", options=[
        "-H", "Authorization: Bearer " + keys.tokens["admin"]])[0] == 400


def test_who_guesses_has_to_wait(curl):
    """Ten at once, then one in two seconds; a certificate is no guess."""
    def guess():
        statuses = []
        while not statuses or statuses[-1] == 401:
            assert len(statuses) < 100
            statuses.append(curl("/v1/List", token=f"{len(statuses):064x}")[0])
        return statuses

    assert guess()[:10] == [401] * 10
    # One may be forgiven between two calls.
    status, body = curl("/v1/List", token="viewer")
    for _ in range(5):
        if status == 200:
            guess()
            status, body = curl("/v1/List", token="viewer")
    assert status == 429 and body["code"] == "RESOURCE_EXHAUSTED"
    assert curl("/v1/List", cert="client")[0] == 200
    until(lambda: curl("/v1/List", token="viewer")[0] == 200,
          "it is forgiven", 30)


HANDSHAKES = """
import socket, ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[2])
done = 0
until = time.monotonic() + 2
while time.monotonic() < until:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as s:
            with context.wrap_socket(s, server_hostname="localhost"):
                done += 1
    except OSError:
        pass
print(done)
"""


def test_handshakes_take_a_bounded_part_of_the_loop(curl, world, keys):
    """100 a second and 100 at once; what is beyond is closed before anything is
    done for it, and callers are served a moment later."""
    done = subprocess.run(
        [*world.network.enter("router"), "/usr/bin/python3", "-c", HANDSHAKES,
         str(PORT), str(keys.folder / "server.pem")], capture_output=True,
        text=True, timeout=60, check=True)
    assert 0 < int(done.stdout) <= 320
    until(lambda: curl("/v1/List", token="viewer")[0] == 200, "it serves", 5)


def test_who_does_not_shake_hands_keeps_nobody_out(curl, world):
    """Many more connections than are served, without a byte."""
    holder = subprocess.Popen(
        [*world.network.enter("router"), "/usr/bin/python3", "-c", f"""
import socket, sys
socks = [socket.create_connection(("127.0.0.1", {PORT})) for _ in range(100)]
print("held", flush=True)
sys.stdin.read()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    until(lambda: curl("/v1/List", token="viewer")[0] == 200, "it serves", 10)
    holder.stdin.close()
    assert holder.wait(timeout=20) == 0
    holder.stdout.close()


def test_older_tls_and_plain_text_are_not_spoken(curl):
    assert curl("/v1/List", token="viewer", options=["--tls-max", "1.2"])[0] == 0
    assert curl("/v1/List", token="viewer",
                url=f"http://localhost:{PORT}")[0] == 0


def test_names_of_the_host_are_as_configured(curl):
    for name, wanted in (("sentinel.example", 200), ("evil.example", 421),
                         (f"SENTINEL.example:{PORT}", 200)):
        assert curl("/v1/List", token="viewer",
                    options=["-H", f"Host: {name}"])[0] == wanted
    for origin, wanted in ((URL, 200), (f"http://localhost:{PORT}", 403),
                           ("https://localhost", 403)):
        assert curl("/v1/List", token="viewer",
                    options=["-H", f"Origin: {origin}"])[0] == wanted


def follow(world, keys, token=None, cert=None):
    credential = ["-H", "Authorization: Bearer " + keys.tokens[token]] \
        if token else ["--cert", str(keys.folder / f"{cert}.pem"),
                       "--key", str(keys.folder / f"{cert}.key")]
    stream = subprocess.Popen(
        [*world.network.enter("router"), "curl", "-sSN", "--cacert",
         str(keys.folder / "server.pem"), *credential,
         URL + "/v1/WatchEvents?follow=true"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)
    assert stream.stdout.readline().startswith(b"retry")
    return stream


def test_a_reload_takes_callers_and_certificate_over(curl, world, keys):
    stream = follow(world, keys, "viewer")
    keys.write_callers(without=("later",))
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: curl("/v1/List", token="later")[0] == 401, "it is forgotten")
    assert curl("/v1/List", token="viewer")[0] == 200
    # A list with a mistake changes nothing.
    path = keys.folder / "callers"
    text = path.read_text()
    path.write_text(text + "nonsense\n")
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: "rest-callers error=" in
          (world.folder / "sentinel-cp.log").read_text(), "it is told")
    assert curl("/v1/List", token="viewer")[0] == 200
    keys.write_callers()
    # Another certificate is shown from then on.
    assert stream.poll() is None
    keys.make_authority("server", "subjectAltName=DNS:localhost")
    assert curl("/v1/List", token="viewer")[0] == 0
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: curl("/v1/List", token="viewer")[0] == 200, "it is shown")
    stream.wait(timeout=20)
    stream.stdout.close()


@pytest.mark.parametrize("end, text, wanted", [
    ("key", None, "certificate and key"), ("pem", "nonsense\n", "certificate"),
    ("ca", "nonsense\n", "client_ca")])
def test_a_certificate_that_cannot_be_used_is_not(curl, world, keys, end, text,
                                                  wanted):
    """Who exchanges two files has one of each for a moment."""
    log = world.folder / "sentinel-cp.log"
    path = keys.folder / ("ca.pem" if end == "ca" else f"server.{end}")
    before, told = path.read_text(), len(log.read_text())
    stream = follow(world, keys, "viewer")
    path.write_text(text or (keys.folder / "stranger.key").read_text())
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: f"rest-tls error='{wanted}" in log.read_text()[told:],
          "it is told")
    assert curl("/v1/List", token="viewer",
                options=["-k"])[0] == 200
    assert stream.poll() is None
    # Nor at a start: nobody is served, and what is there later is.
    world.kill_cp()
    world.ensure_daemons()
    assert curl("/v1/List", token="viewer", options=["-k"])[0] == 0
    path.write_text(before)
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: curl("/v1/List", token="viewer")[0] == 200, "it is taken")
    stream.communicate(timeout=20)


def test_a_stream_ends_with_what_it_was_opened_with(curl, world, keys):
    """A list without the token, and one in which it expires."""
    stays = follow(world, keys, "viewer")
    streams = [follow(world, keys, name) for name in ("operator", "later")]
    keys.write_callers(without=("operator",), soon=4)
    world.cp.send_signal(signal.SIGHUP)
    for stream in streams:
        text, _ = stream.communicate(timeout=30)
        assert b"event: error" in text and b"UNAUTHENTICATED" in text
        assert stream.returncode == 0
    assert stays.poll() is None
    stays.kill()
    stays.communicate()
    keys.write_callers()


def test_a_stream_ends_with_its_certificate(curl, world, keys):
    """The list does not say when that is."""
    stays = follow(world, keys, cert="client")
    keys.end_client("short", 8)
    stream = follow(world, keys, cert="short")
    text, _ = stream.communicate(timeout=40)
    assert b"event: error" in text and b"UNAUTHENTICATED" in text
    assert curl("/v1/List", cert="short")[0] == 401
    assert stays.poll() is None
    stays.kill()
    stays.communicate()


def test_a_caller_leaves_streams_to_others(curl, world, keys):
    """Of 48 connections 24 may be streams, 8 of them one caller's that is no
    admin."""
    streams = [follow(world, keys, "viewer") for _ in range(8)]
    status, body = curl("/v1/WatchEvents?follow=true", token="viewer")
    assert status == 429 and "the caller has" in body["message"]
    streams += [follow(world, keys, "operator") for _ in range(7)]
    streams += [follow(world, keys, "admin") for _ in range(9)]
    status, body = curl("/v1/WatchEvents?follow=true", token="later")
    assert status == 429 and "as many streams" in body["message"]
    assert curl("/v1/List", token="viewer")[0] == 200
    # What one of them gives up, it may have again.
    left = streams.pop(0)
    left.kill()
    left.communicate()

    def comes_back():
        try:
            streams.append(follow(world, keys, "viewer"))
        except AssertionError:
            return False
        return True

    until(comes_back, "there is a place")
    for stream in streams:
        stream.kill()
        stream.communicate()


def test_a_list_that_others_can_read_lets_nobody_in(curl, world, keys):
    path = keys.folder / "callers"
    path.chmod(0o644)
    world.kill_cp()
    world.ensure_daemons()
    assert curl("/v1/List", token="admin")[0] == 401
    keys.write_callers()
    world.cp.send_signal(signal.SIGHUP)
    until(lambda: curl("/v1/List", token="admin")[0] == 200, "it is read")
