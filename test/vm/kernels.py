# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels of several suites, fetched with the machine's own apt and
unpacked beside the build; nothing is installed. What is there is used again."""

import collections
import platform
import re
import shutil
import subprocess
import time

# The flavour without drivers of real hardware: the smallest one.
META_PACKAGE = "linux-image-cloud-amd64"
APT_LIMIT_S = 180
PAUSE_S = 10

# required: `make check-vm` fails where it cannot be had.
Kernel = collections.namedtuple("Kernel", "name suite required")
KERNELS = (
    Kernel("6.1", "bookworm", True),
    Kernel("6.12", "bookworm-backports", False),
)


class Unavailable(Exception):
    """Why a kernel cannot be had here."""


def run(*command, **more):
    done = subprocess.run(command, text=True, capture_output=True, check=False,
                          timeout=APT_LIMIT_S, stdin=subprocess.DEVNULL, **more)
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines()[-3:]
        raise Unavailable(f"{command[0]}: " + " / ".join(said))
    return done.stdout


def find_archive():
    """The line for a suite in sources.list, from what this machine has for
    its own suite: other suites are in the same archive."""
    own = platform.freedesktop_os_release().get("VERSION_CODENAME")
    wanted = "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(SIGNED_BY)"
    for line in run("apt-get", "indextargets", "--format", wanted,
                    "Created-By: Packages").splitlines():
        # A field that apt does not know stays as it was asked for.
        origin, suite, component, uri, signed_by = (
            "" if field.startswith("$(") else field
            for field in line.split("|"))
        if (suite, component) == (own, "main") and origin in ("Debian", ""):
            options = f"[signed-by={signed_by}] " if signed_by else ""
            return f"deb {options}{uri} %s main\n"
    raise Unavailable("apt has no archive of Debian in its sources")


class Apt:
    """apt with lists of its own, of one suite."""

    def __init__(self, folder, suite):
        self.folder = folder
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        sources = folder / "sources.list"
        sources.write_text(find_archive() % suite)
        self.options = [
            word for option in (
                f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=-",
                f"Dir::State::lists={folder}/lists",
                f"Dir::Cache={folder}/cache", "APT::Sandbox::User=root",
                "Acquire::Languages=none", "Acquire::Retries=2",
                "APT::Update::Error-Mode=any")
            for word in ("-o", option)]

    def get(self, *words):
        """Once more where the archive was being changed."""
        command = ["apt-get", *self.options, "-q", *words]
        try:
            return run(*command, cwd=self.folder)
        except Unavailable:
            time.sleep(PAUSE_S)
            return run(*command, cwd=self.folder)

    def image_package(self):
        """The package that the meta package stands for today."""
        shown = run("apt-cache", *self.options, "show", META_PACKAGE)
        match = re.search(r"^Depends:.*?\b(linux-image-\S+-cloud-amd64)", shown,
                          re.MULTILINE)
        if not match:
            raise Unavailable(f"{META_PACKAGE} names no kernel")
        return match.group(1)


def release_of(tree):
    found = sorted(path.name.removeprefix("vmlinuz-")
                   for path in (tree / "boot").glob("vmlinuz-*"))
    return found[0] if found else None


def fetch(kernel, folder):
    """Unpacks the kernel into a folder of its name, unless it is there."""
    tree = folder / kernel.name
    if release_of(tree):
        return tree
    apt = Apt(folder / f"apt-{kernel.suite}", kernel.suite)
    apt.get("update")
    package = apt.image_package()
    apt.get("download", package)
    archive, = apt.folder.glob(f"{package}_*.deb")
    fresh = folder / (kernel.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    run("dpkg", "-x", str(archive), str(fresh))
    shutil.rmtree(apt.folder)
    release = release_of(fresh)
    if not release or not release.startswith(kernel.name + "."):
        shutil.rmtree(fresh)
        raise Unavailable(f"{kernel.suite} has {release} now")
    shutil.rmtree(tree, ignore_errors=True)
    fresh.rename(tree)
    return tree
