# SPDX-License-Identifier: Apache-2.0
"""Who may be the detector: as with the control plane, one that the authority
vouches for under its name, or none."""

import os

import feeding
import pytest
from feeding import check_all, configure, status, until, until_drained
from test_report import CONFIG, place, told  # noqa: F401: pytest's
from world import QUICK, run


class Authority:
    """Makes certificates with openssl."""

    def __init__(self, folder, name):
        self.folder = folder
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, names):
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        extensions = self.folder / f"{name}.ext"
        request = self.folder / f"{name}.csr"
        extensions.write_text(f"subjectAltName={names}\n")
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout",
            "-out", key)
        run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}",
            "-out", request)
        run("openssl", "x509", "-req", "-in", request, "-days", "2", "-CA",
            self.cert, "-CAkey", self.key, "-CAcreateserial", "-extfile",
            extensions, "-out", cert)
        return cert, key


@pytest.fixture(scope="module")
def files(world):
    folder = world.folder / "tls"
    folder.mkdir(mode=0o755)
    ours, others = Authority(folder, "ours"), Authority(folder, "others")
    names = "DNS:localhost,IP:127.0.0.1"
    made = {"ours": ours.cert, "good": ours.issue("good", names),
            "elsewhere": ours.issue("elsewhere", "DNS:elsewhere.example"),
            "foreign": others.issue("foreign", names)}
    for path in folder.iterdir():
        os.chmod(path, 0o644)
    return made


@pytest.fixture
def verified(clean, files):
    """The daemon verifies the detector."""
    def start(text):
        clean.kill_cp()
        clean.config.write_text(text)
        clean.start_cp()
    start(configure(f"    tls: {{ca: {files['ours']}}}\n" + CONFIG,
                    url=f"https://localhost:{feeding.PORT}", insecure="false"))
    yield clean
    start(configure(CONFIG))


def in_force(world):
    feeding.in_force(world)
    until(lambda: world.ok("status")["detection"]["in_force"],
          "and those of detection")


def check_told(there, events):
    """Findings come on the same connection."""
    until(lambda: len(told(there, events)) >= events.n, "it is told of them")
    assert told(there, events) == events.names()


def test_a_detector_is_verified(verified, peer, events, files):
    cert, key = files["good"]
    there = peer("--cert", cert, "--key", key)
    in_force(verified)
    events.make(20)
    state = until_drained(verified)
    check_all(there, events)
    check_told(there, events)
    assert not state["insecure"]


@pytest.mark.parametrize("name, text", [
    ("elsewhere", "is not for localhost"), ("foreign", "CERTIFICATE_VERIFY")])
def test_another_one_gets_nothing(verified, peer, events, files, name, text):
    """Whoever it is, events wait for the right one."""
    cert, key = files[name]
    there = peer("--cert", cert, "--key", key)
    in_force(verified)
    events.make(20)
    until(lambda: status(verified)["error"], "it is refused")
    if name == "elsewhere":
        until(lambda: text in status(verified)["error"], "with the reason")
    assert "UNAVAILABLE" in status(verified)["error"]
    until(lambda: status(verified)["reports_waiting"] == 20, "findings wait")
    assert status(verified)["delivered"] == 0
    assert status(verified)["reports_sent"] == 0
    assert not there.streams and not there.got()
    assert not there.reports(events.folder)
    there.kill()
    cert, key = files["good"]
    right = peer("--cert", cert, "--key", key)
    until_drained(verified)
    check_all(right, events)
    check_told(right, events)
    assert not there.got() and not there.reports(events.folder)


@pytest.mark.parametrize("text, field", [
    ("url: https://d.example:1", "tls.ca"),
    ("url: http://d.example:1", "url"),
    ("url: https://d.example:1, insecure: true", "tls.ca"),
    ("url: d.example:1", "url"),
    ("url: http://d.example:1, insecure: true, events: []", "events"),
    ("url: http://d.example:1, insecure: true, events: [file_eat]", "events"),
    ("url: http://d.example:1, insecure: true, match: {paths: [/]}", "match"),
    ("url: http://d.example:1, insecure: true, window: 0", "window"),
    ("url: http://d.example:1, insecure: true, reconnect_min: 10s, "
     "reconnect_max: 1s", "reconnect_min"),
    ("url: http://d.example:1, insecure: true, spool: {path: spool}",
     "spool.path"),
    ("url: http://d.example:1, insecure: true, spool: {path: /x, "
     "max_size: 1KiB}", "spool.max_size"),
])
def test_what_cannot_be_meant_is_a_configuration_error(clean, tmp_path, text,
                                                       field):
    path = tmp_path / "config.yaml"
    events = "" if "events" in text else ", events: [file_open]"
    path.write_text(f"detectors:\n- {{name: d, {text}{events}}}\n")
    done = run(clean.bin / "sentinel-cp", "--check-config", "--config", path,
               check=False)
    assert done.returncode == 2, done
    assert field.split(".")[-1] in done.stderr and "detectors" in done.stderr


def test_two_detectors_have_two_names_and_two_spools(clean, tmp_path):
    path = tmp_path / "config.yaml"
    one = "url: http://d.example:1, insecure: true, events: [file_open]"
    for names, spools, word in (("aa", "xy", "name"), ("ab", "xx", "spool")):
        path.write_text(QUICK + "detectors:\n" + "".join(
            f"- {{name: {name}, {one}, spool: {{path: /{spool}}}}}\n"
            for name, spool in zip(names, spools)))
        done = run(clean.bin / "sentinel-cp", "--check-config", "--config",
                   path, check=False)
        assert done.returncode == 2 and word in done.stderr, done
