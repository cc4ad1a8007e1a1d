# SPDX-License-Identifier: Apache-2.0
"""A process that makes exactly the system calls that it is told to: lines of
JSON in, one line out for each. Everything it needs is loaded before the first,
and its own doings are on pipes, which are no files."""

import ctypes
import json
import mmap
import os
import platform
import signal
import socket
import struct
import sys

# asm/unistd_64.h
NUMBERS = dict(
    chdir=80,
    read=0, write=1, open=2, mmap=9, pread64=17, pwrite64=18, readv=19,
    writev=20, dup2=33, sendfile64=40, connect=42, accept=43, bind=49, execve=59,
    truncate=76, ftruncate=77, rename=82, rmdir=84, creat=85, link=86,
    unlink=87, symlink=88, chmod=90, fchmod=91, chown=92, fchown=93, lchown=94,
    ptrace=101, setresuid=117, mount=165, umount=166, init_module=175, openat=257, fchownat=260,
    unlinkat=263, renameat=264, linkat=265, symlinkat=266, fchmodat=268,
    splice=275, fallocate=285, accept4=288, preadv=295, pwritev=296,
    open_by_handle_at=304, finit_module=313, renameat2=316, memfd_create=319,
    inotify_add_watch=254, inotify_init1=294, bpf=321, execveat=322, copy_file_range=326, preadv2=327, pwritev2=328,
    move_mount=429, openat2=437, fchmodat2=452)

# asm/unistd_32.h; a number behind the name: another call of the same meaning.
NUMBERS_32 = dict(
    read=3, write=4, open=5, creat=8, link=9, unlink=10, execve=11, chmod=15,
    lchown16=16, getpid=20, mount=21, umount1=22, ptrace=26, rename=38, rmdir=40,
    umount=52, symlink=83, mmap1=90, truncate=92, ftruncate=93, fchmod=94,
    fchown16=95, socketcall=102, init_module=128, readv=145, writev=146,
    pread64=180, pwrite64=181, chown16=182, sendfile32=187, mmap=192,
    truncate64=193, ftruncate64=194, lchown=198, fchown=207, chown=212,
    sendfile64=239, openat=295, fchownat=298, unlinkat=301, renameat=302,
    linkat=303, symlinkat=304, fchmodat=306, splice=313, fallocate=324,
    preadv=333, pwritev=334, open_by_handle_at=342, finit_module=350,
    renameat2=353, memfd_create=356, bpf=357, execveat=358, bind=361,
    connect=362, accept4=364, copy_file_range=377, preadv2=378, pwritev2=379,
    move_mount=429, openat2=437, fchmodat2=452)
SOCKET_CALLS = {"bind1": 2, "connect1": 3, "accept1": 5, "accept41": 18}

OPENS = {NUMBERS[name] for name in ("open", "openat", "openat2", "creat")}
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
KEPT = []
SOCKETS = []
RINGS = []


def keep(buffer):
    KEPT.append(buffer)
    return ctypes.addressof(buffer)


def argument(value):
    """A number; {"text": hex} in memory; {"words": [...]} of 64 bits;
    {"vector": n}: an iovec of n bytes; {"room": n} bytes."""
    if isinstance(value, int):
        return ctypes.c_long(value)
    if "text" in value:
        return ctypes.c_long(keep(ctypes.create_string_buffer(
            bytes.fromhex(value["text"]))))
    if "words" in value:
        return ctypes.c_long(keep((ctypes.c_uint64 * len(value["words"]))(
            *[argument(one).value % 2 ** 64 for one in value["words"]])))
    if "vector" in value:
        data = keep(ctypes.create_string_buffer(b"v" * value["vector"],
                                                value["vector"]))
        return ctypes.c_long(keep((ctypes.c_uint64 * 2)(
            data, value["vector"])))
    return ctypes.c_long(keep(ctypes.create_string_buffer(value["room"])))


class Low:
    """Memory below 4 GiB, and int 0x80 in it."""

    # With rdi: the number and six arguments, of 32 bits each.
    CODE = bytes.fromhex("53 55 8b07 8b5f04 8b4f08 8b570c 8b7710 8b6f18 8b7f14"
                         "cd80 5d 5b 4898 c3")
    SIZE = 1 << 16
    FIRST = 64

    def __init__(self):
        self.map = mmap.mmap(-1, self.SIZE, mmap.MAP_PRIVATE |
                             mmap.MAP_ANONYMOUS | 0x40,  # MAP_32BIT
                             mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.map[:len(self.CODE)] = self.CODE
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        self.function = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)(
            self.base)
        self.used = self.FIRST

    def keep(self, data):
        at = self.used
        self.used += (len(data) + 8) // 8 * 8
        self.map[at:self.used] = data.ljust(self.used - at, b"\0")
        return self.base + at

    def pack(self, value):
        """As argument(), of 32 bits; but for {"words": [...]}."""
        if isinstance(value, int):
            return value
        if "text" in value:
            return self.keep(bytes.fromhex(value["text"]))
        if "words" in value:
            return self.keep(struct.pack(f"={len(value['words'])}Q", *[
                self.pack(one) % 2 ** 64 for one in value["words"]]))
        if "vector" in value:
            return self.keep(struct.pack("=II", self.keep(
                b"v" * value["vector"]), value["vector"]))
        return self.keep(bytes(value["room"]))

    def words(self, values):
        return self.keep(struct.pack(f"={len(values)}I", *[
            one % 2 ** 32 for one in values]))

    def call(self, name, arguments):
        self.used = self.FIRST
        packed = [self.pack(one) for one in arguments]
        if name == "fallocate":
            fd, mode, *rest = packed
            packed = [fd, mode, *[half for one in rest for half in (one, 0)]]
        if name in SOCKET_CALLS:
            packed = [SOCKET_CALLS[name], self.words(packed)]
            name = "socketcall"
        if name == "mmap1":
            packed = [self.words(packed)]
        packed += [0] * (6 - len(packed))
        return self.function(self.words([NUMBERS_32[name], *packed]))


LOW = Low()


def call(name, arguments):
    """NAME, or "i386:NAME" as 32-bit programs make it."""
    if name.startswith("i386:"):
        return LOW.call(name[5:], arguments)
    KEPT.clear()
    packed = [argument(one) for one in arguments]
    packed += [ctypes.c_long(0)] * (6 - len(packed))
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(NUMBERS[name]), *packed)
    return -ctypes.get_errno() if result == -1 else result


def fork(arguments):
    """A child that makes these calls and ends; its pid and status."""
    pid = LIBC.fork()
    if pid == 0:
        for name, *words in arguments["calls"]:
            call(name, words)
        os._exit(arguments.get("code", 0))
    _, status = os.waitpid(pid, 0)
    return [pid, status]


def repeat(count, calls):
    """The calls in turn, so many times; how many succeeded."""
    packed = []
    for name, *words in calls:
        words = [argument(one) for one in words]
        packed.append((ctypes.c_long(NUMBERS[name]),
                       *words, *[ctypes.c_long(0)] * (6 - len(words))))
    good = 0
    for _ in range(count):
        for one in packed:
            fd = LIBC.syscall(*one)
            good += fd >= 0
            if fd > 2 and one[0].value in OPENS:
                LIBC.close(fd)
    KEPT.clear()
    return good


def clone(pid, calls):
    """fork() with a number that is free; the child's pid."""
    wanted = (ctypes.c_int * 1)(pid)
    arguments = (ctypes.c_uint64 * 11)(*[0] * 4, signal.SIGCHLD, *[0] * 3,
                                       ctypes.addressof(wanted), 1, 0)
    made = LIBC.syscall(ctypes.c_long(435), arguments,
                        ctypes.c_long(88))
    if made == 0:
        for name, *words in calls:
            call(name, words)
        os._exit(0)
    if made < 0:
        return -ctypes.get_errno()
    os.waitpid(made, 0)
    return made


# struct io_uring_sqe: opcode, flags, ioprio, fd, off, addr, len, the request's
# flags, user_data, buffer, personality, index of a file or second descriptor
REQUEST = struct.Struct("=BBHiqqIIQHHi16x")
RING_FIXED = (4, 5, 60, 61)  # of registered buffers


class Ring:
    """A ring of so many entries; fd: negative: there is none."""

    LINK = 4  # IOSQE_IO_LINK: the next one waits for it

    def __init__(self, entries=1):
        parameters = (ctypes.c_uint32 * 30)()
        self.fd = LIBC.syscall(ctypes.c_long(425), ctypes.c_long(entries),
                               parameters)
        if self.fd < 0:
            self.fd = -ctypes.get_errno()
            return
        self.queue, self.complete = parameters[10:], parameters[20:]
        self.rings = mmap.mmap(self.fd, 4096, mmap.MAP_SHARED)
        self.entries = mmap.mmap(self.fd, 4096, mmap.MAP_SHARED,
                                 offset=0x10000000)
        self.n = 0
        self.mask = entries - 1

    def register(self):
        """The buffer that the request names."""
        vector = (ctypes.c_uint64 * 2)(ctypes.addressof(KEPT[0]),
                                       ctypes.sizeof(KEPT[0]))
        assert LIBC.syscall(ctypes.c_long(427), ctypes.c_long(self.fd),
                            ctypes.c_long(0), vector, ctypes.c_long(1)) == 0

    def put(self, opcode, fd, address=0, size=0, offset=0, flags=0, index=0,
            how=0):
        KEPT.clear()
        at = self.n & self.mask
        REQUEST.pack_into(self.entries, at * REQUEST.size, opcode, how, 0, fd,
                          argument(offset).value, argument(address).value,
                          size, flags, 0, 0, 0, index)
        if opcode in RING_FIXED:
            self.register()
        struct.pack_into("=I", self.rings, self.queue[6] + 4 * at, at)
        self.n += 1
        struct.pack_into("=I", self.rings, self.queue[1], self.n)

    def enter(self, submitted, awaited):
        return LIBC.syscall(ctypes.c_long(426), ctypes.c_long(self.fd), *map(
            ctypes.c_long, (submitted, awaited, 1, 0, 0)))

    def results(self):
        tail, = struct.unpack_from("=I", self.rings, self.complete[1])
        return [struct.unpack_from("=Qi", self.rings,
                                   self.complete[5] + 16 * i)[1]
                for i in range(tail)]

    def close(self):
        self.entries.close()
        self.rings.close()
        os.close(self.fd)


def ring(*request):
    """One request through a ring of its own; its result."""
    made = Ring()
    if made.fd < 0:
        return made.fd
    made.put(*request)
    made.enter(1, 1)
    result, = made.results()
    made.close()
    return result


def ring_full(*requests):
    """Requests one after the other through a ring that has room for the
    completions of two, which nobody takes, and which stays; these two."""
    made = Ring()
    if made.fd < 0:
        return [made.fd]
    for n, one in enumerate(requests, 1):
        made.put(*one)
        assert made.enter(1, n if n <= 2 else 0) == 1
    RINGS.append(made)
    return made.results()


def ring_as(user, *requests):
    """A child's requests, the first as it is, the others as this user; the child's
    pid and status, which is an errno where there are no rings."""
    pid = LIBC.fork()
    if pid == 0:
        made = Ring()
        if made.fd < 0:
            os._exit(-made.fd)
        for n, one in enumerate(requests, 1):
            made.put(*one)
            made.enter(1, n)
            os.setresuid(user, user, user)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return [pid, status]


def ring_left(*request):
    """A child that ends while a ring does what it asked for; its pid and status,
    which is an errno where there are no rings."""
    pid = LIBC.fork()
    if pid == 0:
        made = Ring()
        if made.fd >= 0:
            made.put(*request)
            made.enter(1, 0)
        os._exit(max(-made.fd, 0))
    _, status = os.waitpid(pid, 0)
    return [pid, status]


def ring_after(request, watched, calls):
    """A request that waits until there is something to read, and what the calls
    return of which one sees to that; at last the request's result."""
    made = Ring(2)
    if made.fd < 0:
        return [made.fd]
    made.put(6, watched, flags=1, how=Ring.LINK)  # poll, POLLIN
    opcode, *rest = request
    made.put(opcode, *rest)
    assert made.enter(2, 0) == 2 and not made.results()
    returned = [call(name, words) for name, *words in calls]
    _, result = made.results()
    made.close()
    return [*returned, result]


def landlock(calls):
    """A child that may remove nothing makes the calls."""
    pid = LIBC.fork()
    if pid == 0:
        remove = 1 << 4 | 1 << 5  # LANDLOCK_ACCESS_FS_REMOVE_DIR, _FILE
        rules = LIBC.syscall(ctypes.c_long(444),
                             (ctypes.c_uint64 * 1)(remove), ctypes.c_long(8),
                             ctypes.c_long(0))
        LIBC.prctl(38, 1, 0, 0, 0)
        if rules < 0 or LIBC.syscall(ctypes.c_long(446), ctypes.c_long(rules),
                                     ctypes.c_long(0)):
            os._exit(1)
        for name, *words in calls:
            call(name, words)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return [pid, status]


def signals(cut):
    """Whether SIGUSR1 cuts calls short, or lets the kernel make them again."""
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.siginterrupt(signal.SIGUSR1, cut)


def listen():
    """A socket, whose port is told."""
    server = socket.socket()
    SOCKETS.append(server)
    server.bind(("127.0.0.1", 0))
    server.listen()
    return [server.fileno(), server.getsockname()[1]]


def accept(name):
    """The far end of it is this process' own."""
    server, client = socket.socket(), socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    client.connect(server.getsockname())
    fd = ring(13, server.fileno()) if name == "ring" else call(
        name, [server.fileno(), 0, 0, 0])
    found = [fd, server.getsockname()[1], client.getsockname()[1]]
    if fd >= 0:
        os.close(fd)
    server.close()
    client.close()
    return found


DOINGS = {"call": call, "fork": fork, "repeat": repeat, "clone": clone, "accept": accept,
          "ring": ring, "ring_after": ring_after,
          "ring_full": ring_full, "ring_as": ring_as,
          "ring_left": ring_left,
          "landlock": landlock, "listen": listen, "signals": signals,
          "comm": lambda name: LIBC.prctl(15, name.encode(), 0, 0, 0),
          "setuid": os.setresuid, "chroot": os.chroot, "chdir": os.chdir,
          "close": os.close, "pipe": lambda: os.pipe(),
          "socket": lambda *kind: SOCKETS.append(socket.socket(*kind)) or
          SOCKETS[-1].fileno()}


def main():
    assert platform.machine() == "x86_64"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        if name in DOINGS:
            result = DOINGS[name](*arguments)
        else:
            result = call(name, arguments)
        print(json.dumps(result), flush=True)


main()
