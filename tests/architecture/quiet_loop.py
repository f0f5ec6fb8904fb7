#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Counts the system calls of a loop: none to switch tasks, and one to sleep, however long it sleeps.

    quiet_loop.py PROGRAM

The difference between two runs of the program, which differ in a number only, is what the loop itself does. Exit
status 77 (skipped) where strace cannot be used.
"""

import subprocess
import sys
import tempfile


def calls(program: str, *arguments: str) -> list:
    with tempfile.NamedTemporaryFile("r") as log:
        subprocess.run(["strace", "-f", "-o", log.name, program, *arguments], check=True)
        return [line.split("(")[0].split()[-1] for line in log if "(" in line]


def main() -> int:
    program = sys.argv[1]
    try:
        few = calls(program, "busy", "10")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: strace cannot be used here ({error})")
        return 77
    many = calls(program, "busy", "1000000")
    # Memory may be asked for once more or less; switching itself calls nothing.
    memory = {"brk", "mmap", "munmap"}
    few, many = ([c for c in each if c not in memory] for each in (few, many))
    if many != few:
        print(f"switching tasks makes system calls: {len(few)} for 20 switches, {len(many)} for 2,000,000")
        return 1
    waits = {"ppoll", "poll", "epoll_wait", "epoll_pwait2"}
    for milliseconds in ("1", "300"):
        slept = [c for c in calls(program, "idle", milliseconds) if c in waits]
        if len(slept) > 2:
            print(f"a sleep of {milliseconds} ms woke {len(slept)} times: {slept}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
