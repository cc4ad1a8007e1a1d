# SPDX-License-Identifier: Apache-2.0
"""`make install` puts everything where the units look for it."""

import os
import re
import subprocess
from pathlib import Path

from world import run

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("SENTINEL_BUILD", str(ROOT / "build"))


def install(tmp_path):
    run("make", "-s", "-C", ROOT, "install", f"B={BUILD}",
        f"DESTDIR={tmp_path}")


def test_units_start_programs_and_files_that_are_installed(tmp_path):
    install(tmp_path)
    units = sorted((tmp_path / "lib/systemd/system").glob("*.service"))
    assert [unit.name for unit in units] == ["sentinel-cp.service",
                                             "sentinel-dp.service"]
    for unit in units:
        starts = re.findall(r"^ExecStart(?:Pre)?=-?(.*)$", unit.read_text(),
                            re.M)
        assert starts
        for start in starts:
            program, *arguments = start.split()
            assert os.access(f"{tmp_path}{program}", os.X_OK)
            for argument in arguments:
                if argument.startswith("/etc/"):
                    assert Path(f"{tmp_path}{argument}").is_file()


def test_installed_configuration_is_accepted_by_the_installed_program(tmp_path):
    install(tmp_path)
    subprocess.run([tmp_path / "usr/sbin/sentinel-cp", "--check-config",
                    "--config", tmp_path / "etc/sentinel/sentinel-cp.yaml"],
                   check=True)


def test_a_second_install_keeps_the_operators_configuration(tmp_path):
    install(tmp_path)
    config = tmp_path / "etc/sentinel/sentinel-cp.yaml"
    config.write_text("log: {level: debug}\n")
    install(tmp_path)
    assert config.read_text() == "log: {level: debug}\n"
