# SPDX-License-Identifier: Apache-2.0
"""What the ELF files of the programs promise: hardening and libraries."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SENTINEL_BUILD", ROOT / "build"))

PROGRAMS = ["sentinel-dp", "sentinel-cp", "sentinelctl", "sentinel-detector"]
DATAPLANE_MAY_NEED = {"libbpf", "libelf", "libz", "libcap", "libseccomp",
                      "libc"}

each_program = pytest.mark.parametrize("program", PROGRAMS)


def readelf(program, *options):
    done = subprocess.run(["readelf", "-W", *options, str(BUILD / program)],
                          text=True, capture_output=True, check=True)
    return done.stdout


def needed(program):
    """Names of the libraries without version, as in libbpf."""
    return set(re.findall(r"\(NEEDED\).*\[(lib[^.\]]*)\.so",
                          readelf(program, "-d")))


def imports(program):
    return {line.split()[7].split("@")[0]
            for line in readelf(program, "--dyn-syms").splitlines()
            if " UND " in line and len(line.split()) > 7}


@each_program
def test_is_position_independent(program):
    assert re.search(r"Type:\s+DYN ", readelf(program, "-h"))
    assert re.search(r"FLAGS_1.*\bPIE\b", readelf(program, "-d"))


@each_program
def test_relocations_are_read_only_and_bound_at_start(program):
    assert "GNU_RELRO" in readelf(program, "-l")
    assert re.search(r"\(FLAGS_1\).*\bNOW\b", readelf(program, "-d"))


@each_program
def test_no_memory_is_writable_and_executable(program):
    segments = re.findall(r"^\s+(LOAD|GNU_STACK)\s.*?\s([RWE ]{3})\s+0x",
                          readelf(program, "-l"), re.MULTILINE)
    assert {kind for kind, _ in segments} == {"LOAD", "GNU_STACK"}
    for kind, flags in segments:
        assert not ("W" in flags and "E" in flags), (kind, flags)


@each_program
def test_stack_protector_and_fortified_calls_are_linked(program):
    names = imports(program)
    assert "__stack_chk_fail" in names
    assert {name for name in names
            if name.endswith("_chk") and name.startswith("__")}


@each_program
def test_carries_no_path_of_the_build_machine(program):
    assert (str(ROOT) + "/").encode() not in (BUILD / program).read_bytes()


def test_dataplane_needs_libbpf_and_little_else():
    libraries = needed("sentinel-dp")
    assert "libbpf" in libraries
    assert libraries <= DATAPLANE_MAY_NEED


@pytest.mark.parametrize("program", ["sentinel-cp", "sentinelctl"])
def test_others_cannot_reach_bpf(program):
    assert "libbpf" not in needed(program)
    assert not {name for name in imports(program) if name.startswith("bpf_")}
