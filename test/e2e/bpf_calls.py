# SPDX-License-Identifier: Apache-2.0
"""bpf(2) for tests: pins, elements of maps, and the links that the kernel has."""

import ctypes
import errno
import os
import struct

import dp_host

LOOKUP, UPDATE, GET, INFO, LINK_FD, LINK_NEXT = 1, 2, 7, 15, 30, 31
ENDED = (errno.ENOENT, errno.EAGAIN)


def call(command, attributes):
    """What it returned, and the attributes behind it."""
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = dp_host.LIBC.syscall(321, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result, buffer.raw


def get_pin(path):
    """A descriptor of what is pinned."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return call(GET, struct.pack("=Q", ctypes.addressof(name)))[0]


def element(command, path, key, value):
    """Of the map that is pinned there; its value."""
    key, value = ctypes.create_string_buffer(key), ctypes.create_string_buffer(
        value, len(value))
    fd = get_pin(path)
    call(command, struct.pack("=I4xQQ", fd, ctypes.addressof(key),
                              ctypes.addressof(value)))
    os.close(fd)
    return value.raw


def put_element(path, key, value):
    element(UPDATE, path, key, value)


def put_begin(path, begin, size):
    """Writes over the begin of an array's only element."""
    key = bytes(4)
    value = element(LOOKUP, path, key, bytes(size))
    put_element(path, key, begin + value[len(begin):])


def link_program(fd):
    """The number of a link's program. Begin of struct bpf_link_info: type, id,
    prog_id."""
    info = ctypes.create_string_buffer(256)
    call(INFO, struct.pack("=IIQ", fd, 256, ctypes.addressof(info)))
    return struct.unpack_from("=I", info, 8)[0]


def pinned_program(path):
    fd = get_pin(path)
    program = link_program(fd)
    os.close(fd)
    return program


def on_hooks(programs):
    """Numbers of the links of these programs, pinned or not."""
    found, last = [], 0
    while True:
        try:
            last, = struct.unpack_from("=4xI", call(LINK_NEXT, struct.pack(
                "=I", last))[1])
        except OSError as error:
            assert error.errno == errno.ENOENT
            return found
        try:
            fd, _ = call(LINK_FD, struct.pack("=I", last))
        except OSError as error:
            assert error.errno in ENDED
            continue
        if link_program(fd) in programs:
            found.append(last)
        os.close(fd)
