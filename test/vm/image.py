# SPDX-License-Identifier: Apache-2.0
"""What a virtual machine boots: an initramfs with the modules that its kernel
needs, and a disk image with this machine's Python and tools, the programs under
test and the tests. The disk is the same for every kernel."""

import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
INSIDE = Path("sentinel")  # the project's root on the disk

# With everything that they depend on.
PACKAGES = ("bash", "busybox-static", "coreutils", "dash", "grep", "iproute2",
            "mount", "procps", "python3", "python3-dnspython", "python3-pytest",
            "sed", "util-linux")
# Part of the project, as far as the chosen tests read it.
TREES = ("shared", "test/bpf", "test/e2e", "test/golden", "test/unit",
         "test/vm", "packaging")
FILES = ("test/run",)
PROGRAMS = ("sentinel-dp",)
UNUSED = re.compile(r"/usr/share/(doc|man|locale|info|lintian|perl5?)/|"
                    r"/(test|idlelib|lib2to3|ensurepip|tkinter)/|/etc/")
DISK_SPARE_MB = 64

# In the order of loading; what they depend on comes before them. Missing ones
# are built in.
MODULES = ("virtio_pci", "virtio_blk", "veth", "tun", "ifb", "bridge", "8021q",
           "sch_ingress", "cls_bpf")


def run(*command, **more):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **more)


def output(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL).stdout


def closure(packages):
    """The packages and what they depend on, of what is installed."""
    depends = {}
    shown = output("dpkg-query", "-W", "-f", "${db:Status-Status}\t${Package}\t"
                   "${Provides}\t${Pre-Depends},${Depends}\n")
    provider = {}
    for line in shown.splitlines():
        state, package, provides, needs = line.split("\t")
        if state != "installed":
            continue
        depends[package] = re.findall(r"(?:^|[,|])\s*([a-z0-9.+-]+)", needs)
        for name in re.findall(r"(?:^|,)\s*([a-z0-9.+-]+)", provides):
            provider.setdefault(name, package)
    found, todo = set(), list(packages)
    while todo:
        name = todo.pop()
        name = name if name in depends else provider.get(name, name)
        if name in depends and name not in found:
            found.add(name)
            todo += depends[name]
    missing = [name for name in packages if name not in found]
    if missing:
        raise RuntimeError(f"not installed: {' '.join(missing)}")
    return sorted(found)


def libraries(program):
    return re.findall(r"(?:=> )?(/\S+) \(0x", output("ldd", str(program)))


class Disk:
    """The folder that becomes the disk."""

    def __init__(self, folder):
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("dev", "etc", "proc", "run", "sys", "tmp", "usr/bin",
                     "usr/sbin", "usr/lib", "usr/lib64", "var/tmp", "root"):
            (folder / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (folder / name).symlink_to("usr/" + name)
        (folder / "var/run").symlink_to("/run")
        for name in ("passwd", "group", "protocols", "services"):
            source = Path("/etc") / name
            if source.exists():
                shutil.copy(source, folder / "etc" / name)
        (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")

    def copy(self, source, inside=None):
        source = Path(source)
        to = self.folder / str(inside or source).lstrip("/")
        if source.is_dir() and not source.is_symlink():
            to.mkdir(parents=True, exist_ok=True)
            return
        to.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(to):
            shutil.copy2(source, to, follow_symlinks=False)

    def copy_packages(self, packages):
        for path in output("dpkg", "-L", *packages).splitlines():
            if not path.startswith("/") or path == "/." or \
                    UNUSED.search(path) or not os.path.lexists(path):
                continue
            self.copy(path)
            if path.endswith(".py"):
                # Compiling all of Python anew takes an emulated CPU long.
                for made in (Path(path).parent / "__pycache__").glob(
                        Path(path).stem + ".cpython-*.pyc"):
                    self.copy(made)

    def copy_program(self, program, inside):
        """With the libraries that it asks for, through their links."""
        self.copy(program, inside)
        for library in libraries(program):
            self.copy(os.path.realpath(library), library)

    def copy_project(self, build):
        for tree in TREES:
            for folder, folders, names in os.walk(ROOT / tree):
                folders[:] = [name for name in folders
                              if name != "__pycache__"]
                for name in names:
                    source = Path(folder) / name
                    self.copy(source, INSIDE / source.relative_to(ROOT))
        for name in FILES:
            self.copy(ROOT / name, INSIDE / name)
        for name in PROGRAMS:
            self.copy_program(build / name, INSIDE / "build" / name)
        for source in sorted((ROOT / "test/bpf").glob("test_*.c")):
            name = f"test/bpf/{source.stem}"
            self.copy_program(build / name, INSIDE / "build" / name)
        for source in sorted((build / "bpf").glob("*.o")):
            self.copy(source, INSIDE / "build/bpf" / source.name)

    def pack(self, image):
        image.unlink(missing_ok=True)
        kilobytes = int(output("du", "-sk", str(self.folder)).split()[0])
        size = kilobytes * 5 // 4 // 1024 + DISK_SPARE_MB
        run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d",
            str(self.folder), str(image), f"{size}M", stdout=subprocess.DEVNULL)


def make_disk(build, folder):
    disk = Disk(folder / "disk")
    disk.copy_packages(closure(PACKAGES))
    disk.copy_project(build)
    image = folder / "disk.img"
    disk.pack(image)
    shutil.rmtree(disk.folder)
    return image


def read_module(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def order_modules(tree):
    """(name, contents) of the modules in the order of loading."""
    files = {}
    for path in (tree / "lib/modules").rglob("*.ko*"):
        files[path.name.split(".ko")[0].replace("-", "_")] = path
    done = {}

    def add(name):
        name = name.replace("-", "_")
        if name in done or name not in files:
            return
        data = read_module(files[name])
        match = re.search(rb"\0depends=([^\0]*)\0", data)
        for needed in match.group(1).decode().split(",") if match else []:
            if needed:
                add(needed)
        done[name] = data

    for name in MODULES:
        add(name)
    return done.items()


def make_initramfs(tree, folder):
    root = folder / "initramfs"
    shutil.rmtree(root, ignore_errors=True)
    (root / "modules").mkdir(parents=True)
    (root / "bin").mkdir()
    shutil.copy("/bin/busybox", root / "bin/busybox")
    shutil.copy(HERE / "init", root / "init")
    (root / "init").chmod(0o755)
    for n, (name, data) in enumerate(order_modules(tree)):
        (root / "modules" / f"{n:02}-{name}.ko").write_bytes(data)
    names = "\0".join(str(path.relative_to(root))
                      for path in sorted(root.rglob("*")))
    archive = folder / "initramfs.img"
    with open(archive, "wb") as file:
        subprocess.run(["cpio", "--null", "--quiet", "-o", "-H", "newc"],
                       input=names.encode(), stdout=file, cwd=root, check=True)
    shutil.rmtree(root)
    return archive
