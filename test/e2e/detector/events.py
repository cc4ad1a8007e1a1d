# SPDX-License-Identifier: Apache-2.0
"""A process whose events are known: opens of names that are numbered and not
there, so many as a line of standard input says, each thread its own; then the
number of all of them so far is printed."""

import os
import sys


def main():
    folder, n = sys.argv[1], 0
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            try:
                os.close(os.open(f"{folder}/{n:08}", os.O_RDONLY))
            except FileNotFoundError:
                pass
            n += 1
        print(n, flush=True)


main()
