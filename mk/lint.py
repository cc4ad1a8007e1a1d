#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what STYLE.md says a check holds: layout, sizes, direction of
includes, names of public symbols, licence lines. Prints one line per finding,
`file:line: text`, and exits with 1 if there is any.

Functions are found by layout, which clang-format has settled: a body starts
with `{` and ends with `}` in the first column.
"""

import argparse
import ast
import os
import re
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FILE_LINES = 700
FUNCTION_LINES = 70
MCCABE = 15
HEADER_MEDIAN = 60

SKIP_FOLDERS = {".git", "__pycache__", ".pytest_cache", "LICENSES"}
SKIP_PATHS = ("test/golden/", "test/fuzz/corpus/")
NO_LICENCE_LINE = {".md", ".json", ".txt", ".svg", ".png", ".pem", ".bin"}
USER_LICENCE = "SPDX-License-Identifier: Apache-2.0"
KERNEL_LICENCE = "SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)"

# Spelt in two parts so that this file passes its own check.
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|" + "FIX" + r"ME)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|" + r"root)/\w")

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
BRANCH = re.compile(r"\b(?:if|for|while|case)\b|&&|\|\||\?")
# Labels that share one branch are one path.
CASES = re.compile(r"case[^:\n]*:(?:\s*case[^:\n]*:)+")
FUNCTION_NAME = re.compile(r"(\w+)\s*\(")
STRIP = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'
                   r"'(?:\\.|[^'\\\n])*'", re.DOTALL)

# Longest matching folder decides. quoted: project headers that may be named;
# never: system headers that may not.
DIRECTION = {
    "shared/": {
        "quoted": ("shared/",),
        "never": ("bpf/", "uv.h", "grpc/", "yaml.h", "jansson.h"),
    },
    "dataplane/": {
        "quoted": ("shared/", "dataplane/", "sentinel.skel.h",
                   "runtime.skel.h"),
        "never": ("uv.h", "grpc/", "yaml.h", "jansson.h", "protobuf-c/"),
    },
    "controld/": {
        "quoted": ("shared/", "controld/", "sentinel/"),
        "not_quoted": ("controld/ctl/",),
        "never": ("bpf/",),
    },
    "controld/ctl/": {
        "quoted": ("shared/", "controld/", "sentinel/"),
        "never": ("bpf/",),
    },
    "controld/detector/": {
        "quoted": ("shared/", "controld/", "sentinel/", "google/protobuf/",
                   "grpc/health/"),
        "not_quoted": ("controld/ctl/",),
        "never": ("bpf/",),
    },
    "controld/policy/": {
        "quoted": ("shared/", "controld/", "sentinel/"),
        "not_quoted": ("controld/ctl/", "controld/link/", "controld/api/",
                       "controld/state/", "controld/rpc/"),
        "never": ("bpf/", "uv.h"),
    },
    "bpf/": {
        "quoted": ("shared/abi.h", "shared/abi_runtime.h",
                   "shared/reasons.def", "shared/runtime.def", "bpf/",
                   "vmlinux.h"),
        "never": (),
    },
}


class Findings:
    def __init__(self):
        self.lines = []

    def add(self, path, line, text):
        self.lines.append((str(path), line, text))

    def report(self):
        for path, line, text in sorted(self.lines):
            print(f"{path}:{line}: {text}" if line else f"{path}: {text}")


def project_files(only):
    """Every text file of the project, as paths relative to its root."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = sorted(
            name for name in folders if name not in SKIP_FOLDERS and
            not (str(here) == "." and name.startswith("build")))
        found += [here / name for name in sorted(names)]
    found = [path for path in found
             if not str(path).startswith(SKIP_PATHS) and
             not (ROOT / path).is_symlink()]
    if only:
        found = [path for path in found
                 if any(path == part or part in path.parents for part in only)]
    return found


def read(path):
    """The file's text, or None if it is not text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return None


def is_c(path):
    return path.suffix in (".c", ".h")


def is_shell(path, text):
    return path.suffix == ".sh" or re.match(r"#!/bin/(ba)?sh\b", text)


def is_python(path, text):
    return path.suffix == ".py" or text.startswith("#!/usr/bin/python3")


def check_layout(paths, findings):
    """clang-format, a few files per process and as many as there are CPUs."""
    paths = [str(path) for path in paths if is_c(path)]

    def one(part):
        return subprocess.run(["clang-format", "--dry-run", "-Werror",
                               "--ferror-limit=1", *part], cwd=ROOT, text=True,
                              capture_output=True, check=False)

    parts = [paths[i:i + 16] for i in range(0, len(paths), 16)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(one, parts):
            wrong = re.findall(r"^([^:\n]+):(\d+):\d+: error: ", done.stderr,
                               re.MULTILINE)
            for path, line in wrong:
                findings.add(path, int(line),
                             "layout is not clang-format's (make format)")
            if done.returncode and not wrong:
                findings.add(".clang-format", 0, done.stderr.strip())


def wants_licence(path, text):
    if path.suffix in NO_LICENCE_LINE or path.name == ".gitignore":
        return False
    return bool(text)


def check_text(path, text, findings):
    """What holds for every kind of file."""
    head = "\n".join(text.splitlines()[:3])
    kernel = path.parts[0] == "bpf" or \
        str(path) in ("shared/abi.h", "shared/abi_runtime.h")
    if wants_licence(path, text):
        either = path.suffix == ".def" and KERNEL_LICENCE in head
        licence = KERNEL_LICENCE if kernel else USER_LICENCE
        if licence not in head and not either:
            findings.add(path, 1, f"no '{licence}' in the first lines")
    for number, line in enumerate(text.splitlines(), 1):
        if path.suffix != ".md" and UNFINISHED.search(line):
            findings.add(path, number, "unfinished work is not committed")
        if MACHINE_PATH.search(line) or str(ROOT) + "/" in line:
            findings.add(path, number, "path of one machine")
        if line != line.rstrip() and path.suffix != ".md":
            findings.add(path, number, "space at the end of the line")
    if path.suffix != ".def" and path.suffix not in NO_LICENCE_LINE:
        n_lines = text.count("\n")
        if n_lines > FILE_LINES:
            findings.add(path, 0, f"{n_lines} lines, limit {FILE_LINES}")


def blank(match):
    """Comments and literals become empty, line numbers stay."""
    return "\n" * match.group().count("\n") or " "


def c_functions(text):
    """Yields (name, first line, lines, McCabe number)."""
    lines = STRIP.sub(blank, text).splitlines()
    start = None
    for i, line in enumerate(lines):
        if line.startswith("{"):
            start = i
        elif line.startswith("}") and start is not None:
            head = start - 1
            while head > 0 and lines[head - 1].strip() and \
                    not re.match(r"[#}]|.*[;)]$", lines[head - 1]):
                head -= 1
            signature = " ".join(lines[head:start])
            signature = re.sub(r"\bSEC\([^)]*\)|__attribute__\(\(.*?\)\)", "",
                               signature)
            name = FUNCTION_NAME.search(signature)
            body = lines[start:i + 1]
            yield (name.group(1) if name else "?", start + 1, len(body),
                   1 + len(BRANCH.findall(CASES.sub("case", "\n".join(body)))))
            start = None


def check_functions(path, text, findings):
    for name, line, n_lines, mccabe in c_functions(text):
        if n_lines > FUNCTION_LINES:
            findings.add(path, line, f"{name}() has {n_lines} lines, limit "
                         f"{FUNCTION_LINES}")
        if mccabe > MCCABE:
            findings.add(path, line, f"{name}() has McCabe number {mccabe}, "
                         f"limit {MCCABE}")


def direction_of(path):
    folders = [folder for folder in DIRECTION if str(path).startswith(folder)]
    return DIRECTION[max(folders, key=len)] if folders else None


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def is_generated(name):
    return name in ("vmlinux.h", "sentinel.skel.h", "runtime.skel.h") or \
        re.fullmatch(r"(sentinel/(\w+/)?v1|google/protobuf|grpc/health/v1)"
                     r"/\w+\.pb-c\.h", name)


def check_includes(path, text, findings):
    rule = direction_of(path)
    found = list(includes(text))
    for number, quoted, name in found:
        if quoted and not is_generated(name) and not (ROOT / name).exists():
            findings.add(path, number, f'"{name}" is not a path from the root')
        if not rule:
            continue
        if quoted and (not name.startswith(rule["quoted"]) or
                       name.startswith(rule.get("not_quoted", ("\0",)))):
            findings.add(path, number, f'"{name}" is included against the '
                         "direction of the layers")
        if not quoted and rule["never"] and name.startswith(rule["never"]):
            findings.add(path, number, f"<{name}> is not for this folder")
    if path.suffix == ".h" and "#pragma once" not in text:
        findings.add(path, 1, "no #pragma once")
    own = str(path.with_suffix(".h"))
    layered = path.parts[0] in ("shared", "dataplane", "controld")
    if path.suffix == ".c" and layered and path.name != "main.c" and \
            (not found or found[0][2] != own):
        findings.add(path, 1, f'does not include its own "{own}" first')


def check_scripts(path, text, findings):
    if is_python(path, text):
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            findings.add(path, error.lineno or 0, f"{error.msg}")
            return
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                n_lines = (node.end_lineno or 0) - node.lineno + 1
                if n_lines > FUNCTION_LINES:
                    findings.add(path, node.lineno, f"{node.name}() has "
                                 f"{n_lines} lines, limit {FUNCTION_LINES}")
    elif is_shell(path, text):
        shell = "bash" if text.startswith("#!/bin/bash") else "sh"
        done = subprocess.run([shell, "-n", str(ROOT / path)], text=True,
                              capture_output=True, check=False)
        if done.returncode:
            findings.add(path, 0, done.stderr.strip())


def symbol_prefixes(source):
    """The prefixes that a public symbol of this source file may carry."""
    parts = [part.replace("-", "_") for part in source.with_suffix("").parts]
    if parts[0] == "shared":
        return ["sn"]
    if parts[0] == "dataplane":
        return ["dp_" + "_".join(parts[1:])]
    names = parts[1:]
    prefixes = ["cp_" + "_".join(names)]
    if len(names) > 1 and names[-1] == names[-2]:
        prefixes.append("cp_" + "_".join(names[:-1]))
    return prefixes


def check_symbols(build, paths, findings):
    """Reads the object of every source that is there; a source without one
    has not been built, which is not this check's business."""
    objects = {}
    for path in paths:
        made = build / "obj" / path.with_suffix(".o")
        if path.suffix == ".c" and made.exists() and \
                path.parts[0] in ("shared", "dataplane", "controld"):
            objects[str(made)] = path
    if not objects:
        return
    done = subprocess.run(["nm", "-A", "-g", "-P", "--defined-only", *objects],
                          text=True, capture_output=True, check=True)
    for line in done.stdout.splitlines():
        where, symbol = line.split()[:2]
        source = objects[where.rstrip(":")]
        if symbol == "main" and source.name == "main.c":
            continue
        prefixes = symbol_prefixes(source)
        if not any(symbol == prefix or symbol.startswith(prefix + "_")
                   for prefix in prefixes):
            findings.add(source, 0, f"public symbol {symbol} does not begin "
                         f"with {' or '.join(prefixes)}_")


def check_header_median(texts, findings):
    # The headers of bpf/lib are code, not contracts.
    sizes = [text.count("\n") for path, text in texts.items()
             if path.suffix == ".h" and path.parts[0] != "bpf"]
    if sizes and statistics.median(sizes) > HEADER_MEDIAN:
        findings.add("*.h", 0, f"median of {statistics.median(sizes):.0f} "
                     f"lines, limit {HEADER_MEDIAN}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("paths", nargs="*", type=Path,
                        help="files or folders (default: everything)")
    arguments = parser.parse_args()
    only = [(Path.cwd() / path).resolve().relative_to(ROOT)
            for path in arguments.paths]

    findings = Findings()
    texts = {}
    for path in project_files(only):
        text = read(path)
        if text is not None:
            texts[path] = text
    check_layout(texts, findings)
    for path, text in texts.items():
        check_text(path, text, findings)
        check_scripts(path, text, findings)
        if is_c(path):
            check_functions(path, text, findings)
            check_includes(path, text, findings)
    check_symbols((ROOT / arguments.build).resolve(), texts, findings)
    if not only:
        check_header_median(texts, findings)
    findings.report()
    n_c = sum(is_c(path) for path in texts)
    print(f"lint: {len(texts)} files ({n_c} of C), "
          f"{len(findings.lines)} findings")
    return 1 if findings.lines else 0


if __name__ == "__main__":
    sys.exit(main())
