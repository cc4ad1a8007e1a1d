# SPDX-License-Identifier: Apache-2.0
"""Who may be the control plane: certificates, names, pins, versions, tokens."""

import base64
import hashlib
import os
import signal
import subprocess

import pytest

from planes import PORT, TIMERS, Plane, is_synced, until_synced
from world import QUICK, run, until

WORLD = {"config": QUICK}


class Authority:
    """Makes certificates with openssl."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, names, key=None):
        """names: "DNS:localhost,IP:127.0.0.1". Returns (certificate, key)."""
        cert = self.folder / f"{name}.pem"
        extensions = self.folder / f"{name}.ext"
        request = self.folder / f"{name}.csr"
        extensions.write_text(f"subjectAltName={names}\n")
        if not key:
            key = self.folder / f"{name}.key"
            run("openssl", "ecparam", "-name", "prime256v1", "-genkey",
                "-noout", "-out", key)
        run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}",
            "-out", request)
        run("openssl", "x509", "-req", "-in", request, "-days", "2", "-CA",
            self.cert, "-CAkey", self.key, "-CAcreateserial", "-extfile",
            extensions, "-out", cert)
        return cert, key


def pin(cert):
    public = run("openssl", "x509", "-in", cert, "-noout", "-pubkey").stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"],
                         input=public.encode(), capture_output=True,
                         check=True).stdout
    return "sha256/" + base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.fixture(scope="module")
def files(world):
    folder = world.folder / "tls"
    folder.mkdir(mode=0o755)
    made = {"ours": Authority(folder, "ours"),
            "others": Authority(folder, "others")}
    ours, others = made["ours"], made["others"]
    names = "DNS:localhost,IP:127.0.0.1"
    made["good"] = ours.issue("good", names)
    made["next"] = ours.issue("next", names)
    made["elsewhere"] = ours.issue("elsewhere", "DNS:elsewhere.example")
    made["foreign"] = others.issue("foreign", names)
    made["host"] = ours.issue("host", "DNS:host.example")
    made["folder"] = folder
    readable(world, folder)
    return made


def readable(world, folder):
    for path in folder.iterdir():
        os.chmod(path, 0o644)


@pytest.fixture
def serve(clean, stubs, files):
    """serve(certificate name, ...): starts the control plane, and the daemon
    with that configuration."""
    planes = []

    def start(cert, text="", url="https://localhost", client_ca=None):
        options = ["--cert", files[cert][0], "--key", files[cert][1]]
        if client_ca:
            options += ["--client-ca", client_ca]
        planes.append(Plane(clean, stubs, "router", *options))
        configure(clean, f"""
control:
  urls: ["{url}:{PORT}"]
  tls:
    ca: {files['ours'].cert}
{text}{TIMERS}""")
        return planes[-1]

    yield start
    for plane in planes:
        plane.close()
    configure(clean, "")


def configure(world, text):
    world.kill_cp()
    world.config.write_text(QUICK + text)
    world.start_cp()


def refused(world, text):
    """The daemon tries, and says that again and again."""
    until(lambda: text in world.ok("status")["control_plane"]["last_error"],
          text)
    assert not is_synced(world)


def test_verified_by_authority_and_name(clean, serve):
    plane = serve("good")
    plane.sync()
    until_synced(clean)
    control = clean.ok("status")["control_plane"]
    assert not control["insecure"]
    assert "ENCRYPTED" not in clean.ctl("status").out


def test_verified_by_address(clean, serve):
    serve("good", url="https://127.0.0.1").sync()


@pytest.mark.parametrize("cert, text", [
    ("elsewhere", "is not for localhost"), ("foreign", "CERTIFICATE_VERIFY")])
def test_other_certificates_are_refused(clean, serve, cert, text):
    plane = serve(cert)
    until(lambda: not is_synced(clean) and
          clean.ok("status")["control_plane"]["last_error"], "it is refused")
    error = clean.ok("status")["control_plane"]["last_error"]
    assert "UNAVAILABLE" in error
    if cert == "elsewhere":
        assert text in error
    assert not plane.opens


def test_a_pin_must_match_whoever_vouches(clean, serve, files):
    plane = serve("next", f"    pins: ['{pin(files['good'][0])}']\n")
    refused(clean, "none of the pinned ones")
    assert not plane.opens
    plane.close()
    both = f"    pins: ['{pin(files['good'][0])}', '{pin(files['next'][0])}']\n"
    serve("next", both).sync()


def test_a_pin_does_not_replace_the_name(clean, serve, files):
    plane = serve("elsewhere", f"    pins: ['{pin(files['elsewhere'][0])}']\n")
    refused(clean, "is not for localhost")
    assert not plane.opens


def test_mutual_tls(clean, serve, files):
    plane = serve("good", client_ca=files["ours"].cert)
    until(lambda: clean.ok("status")["control_plane"]["last_error"],
          "it is refused")
    assert not plane.opens and not is_synced(clean)
    plane.close()
    cert, key = files["host"]
    serve("good", f"    certificate: {cert}\n    key: {key}\n",
          client_ca=files["ours"].cert).sync()


def test_files_and_token_are_read_for_each_connection(clean, serve, files):
    """Exchanged while the daemon runs: the authority, then the token."""
    token = files["folder"] / "token"
    token.write_text("first-token\n")
    authority = files["folder"] / "authority.pem"
    authority.write_bytes(files["others"].cert.read_bytes())
    readable(clean, files["folder"])
    plane = serve("good", f"  token_file: {token}\n")
    clean.config.write_text(clean.config.read_text().replace(
        str(files["ours"].cert), str(authority)))
    clean.kill_cp()
    clean.start_cp()
    until(lambda: clean.ok("status")["control_plane"]["last_error"],
          "the wrong authority is refused")
    n_before = len(plane.opens)
    assert not is_synced(clean)
    authority.write_bytes(files["ours"].cert.read_bytes())
    plane.sync(n_before + 1)
    assert plane.opens[-1]["authorization"] == "Bearer first-token"
    token.write_text("second-token")
    plane.end_stream()
    plane.sync(n_before + 2)
    assert plane.opens[-1]["authorization"] == "Bearer second-token"
    token.unlink()
    plane.end_stream()
    refused(clean, str(token))


def tls_server(world, files, version):
    cert, key = files["good"]
    return subprocess.Popen(
        [*world.in_cgroup("daemons"), *world.network.enter("router"),
         "openssl", "s_server", "-accept", f"127.0.0.1:{PORT}", version,
         "-cert", cert, "-key", key, "-alpn", "h2", "-quiet"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)


def handshake(world, version):
    """Whether openssl's own client gets through with that version."""
    done = subprocess.run(
        [*world.network.enter("router"), "openssl", "s_client", "-connect",
         f"127.0.0.1:{PORT}", version, "-brief"], input="", text=True,
        capture_output=True, timeout=10)
    return "CONNECTION ESTABLISHED" in done.stderr


def test_tls_1_2_is_refused(clean, serve, files):
    """A server that offers only 1.2, which another client accepts."""
    serve("good").close()
    server = tls_server(clean, files, "-tls1_2")
    try:
        until(lambda: handshake(clean, "-tls1_2"), "the server serves 1.2")
        assert not handshake(clean, "-tls1_3")
        refused(clean, "SSL")
        lines = [line for line in log_lines(clean) if "SSL_ERROR" in line or
                 "Handshake failed" in line or "handshake" in line]
        assert lines
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdin.close()
        server.stdout.close()


def log_lines(world):
    return (world.folder / "sentinel-cp.log").read_text().splitlines()


@pytest.mark.parametrize("text, field", [
    (f'urls: ["https://c.example:{PORT}"]', "control.tls.ca"),
    (f'urls: ["http://c.example:{PORT}"]', "control.urls"),
    (f'urls: ["https://c.example:{PORT}"], insecure: true', "control.tls.ca"),
    ('urls: ["https://c.example"]', "control.urls"),
    ('urls: ["c.example:1"]', "control.urls"),
    ('urls: ["https://c.example:1/path"]', "control.urls"),
    ('tls: {certificate: /x}', "control.tls"),
    ('tls: {ca: x}', "control.tls.ca"),
    ('tls: {pins: ["sha256/AAAA"]}', "control.tls.pins"),
    ('metadata: ["no value"]', "control.metadata"),
    ('reconnect_min: 10s, reconnect_max: 1s', "control.reconnect_min"),
])
def test_what_cannot_be_meant_is_a_configuration_error(clean, text, field,
                                                       tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("control: {" + text + "}\n")
    done = run(clean.bin / "sentinel-cp", "--check-config", "--config", path,
               check=False)
    assert done.returncode == 2
    assert field.split(".")[-1] in done.stderr and "control" in done.stderr
