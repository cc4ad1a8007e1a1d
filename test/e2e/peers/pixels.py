# SPDX-License-Identifier: Apache-2.0
"""A terminal that a person would look at: xterm on an X server without a screen
(Xvfb), whose picture is read as it is in memory. Cells are read back by their
pixels: the same xterm has shown every letter before. Pictures are kept as PNG
files in the build folder, to be looked at."""

import contextlib
import os
import struct
import subprocess
import zlib

from world import BUILD, until

WIDTH, HEIGHT = 1280, 400
CELL_W, CELL_H = 6, 13  # of the font that every X server has
LETTERS = "".join(map(chr, range(0x20, 0x7f)))
FIRST, SECOND = LETTERS[:48], LETTERS[48:]
PICTURES = BUILD / "pictures"


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + \
        struct.pack(">I", zlib.crc32(body))


def png(rows, scale):
    """rows: of (red, green, blue)."""
    lines = []
    for row in rows:
        line = b"\0" + b"".join(bytes(pixel) * scale for pixel in row)
        lines.extend([line] * scale)
    size = struct.pack(">IIBBBBB", len(rows[0]) * scale, len(rows) * scale, 8,
                       2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + \
        chunk(b"IDAT", zlib.compress(b"".join(lines), 9)) + chunk(b"IEND", b"")


class Cell:
    def __init__(self, pixels):
        flat = [pixel for row in pixels for pixel in row]
        self.back = max(set(flat), key=flat.count)
        self.ink = {pixel for pixel in flat if pixel != self.back}
        self.shape = tuple(pixel != self.back for pixel in flat)


class Display:
    """An X server for one test."""

    def __init__(self, folder):
        self.folder = folder
        self.letters = {}
        folder.mkdir()
        reading, writing = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0",
             f"{WIDTH}x{HEIGHT}x24", "-fbdir", str(folder), "-nolisten",
             "tcp", "-noreset"], pass_fds=[writing],
            stderr=subprocess.DEVNULL)
        os.close(writing)
        with os.fdopen(reading) as told:
            self.number = told.readline().strip()
        assert self.number, "Xvfb has not started"
        self.learn()

    def end(self):
        self.server.kill()
        self.server.wait()

    def pixels(self, columns, lines):
        """The file is of X's window dump format: a header, colours, pixels."""
        data = (self.folder / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", data[:100])
        assert header[1] == 7 and header[7] == 0 and header[11] == 32, header
        start, step = header[0] + header[19] * 12, header[12]
        rows = []
        for y in range(lines * CELL_H):
            at = start + y * step
            rows.append([(data[i + 2], data[i + 1], data[i]) for i in range(
                at, at + 4 * columns * CELL_W, 4)])
        return rows

    def cells(self, columns, lines):
        rows = self.pixels(columns, lines)
        return [[Cell([row[x * CELL_W:(x + 1) * CELL_W] for row in
                       rows[y * CELL_H:(y + 1) * CELL_H]])
                 for x in range(columns)] for y in range(lines)]

    def learn(self):
        def is_shown():
            cells = self.cells(48, 2)
            self.letters = {
                cell.shape: letter for line, row in zip((FIRST, SECOND), cells)
                for letter, cell in zip(line, row)}
            # All letters differ, and the second line has fewer.
            return len(self.letters) == len(LETTERS)
        with self.terminal(48, 2, ["printf", "%s\\r\\n%s\\033[?25l", FIRST,
                                   SECOND], hold=True):
            until(is_shown, "every letter is shown")

    @contextlib.contextmanager
    def terminal(self, columns, lines, command, hold=False, **environment):
        child = subprocess.Popen(
            ["xterm", "-fn", "fixed", "-b", "0", "+sb", "-bw", "0", "-u8",
             *(["-hold"] if hold else []), "-xrm",
             "XTerm*allowBoldFonts: false", "-bg", "black", "-fg", "gray80",
             "-geometry", f"{columns}x{lines}+0+0", "-e", *map(str, command)],
            env={"DISPLAY": f":{self.number}", "LC_ALL": "C.UTF-8",
                 "PATH": os.environ["PATH"], **environment})
        try:
            yield Picture(self, columns, lines)
        finally:
            child.kill()
            child.wait()


class Picture:
    def __init__(self, display, columns, lines):
        self.display, self.columns, self.lines = display, columns, lines

    def text(self):
        """Lines; what is no letter is '?'."""
        letters = self.display.letters
        return ["".join(letters.get(cell.shape, "?") for cell in row).rstrip()
                for row in self.cells()]

    def cells(self):
        return self.display.cells(self.columns, self.lines)

    def save(self, name):
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / f"{name}.png").write_bytes(
            png(self.display.pixels(self.columns, self.lines), 2))
