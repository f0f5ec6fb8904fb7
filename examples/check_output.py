#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs a program and compares what it prints with what was promised.

    check_output.py --source example.cpp PROGRAM    the promise stands in the comments of example.cpp
    check_output.py --expected FILE PROGRAM         the promise is FILE

In the comments of an example, all optional:

    // Run: ./name ARGS          the arguments (read as a shell would; the working directory is the project's root)
    // Prints:                   the lines of standard output, indented by three blanks, up to a line that is only //
    //   first line
    //
    // Test: exit N              the exit status, 0 else

An example without `Prints:` only has to end with the right status.
"""

import argparse
import difflib
import re
import shlex
import subprocess
import sys


def promise_of(source):
    """(arguments, lines or None, exit status) from the comments of an example."""
    with open(source, encoding="utf-8") as file:
        lines = file.read().splitlines()
    arguments, printed, status, inside = [], None, 0, False
    for line in lines:
        if inside:
            if line.startswith("//   "):
                printed.append(line[5:])
                continue
            inside = False
        if match := re.fullmatch(r"// Run: +\S+(.*)", line):
            arguments = shlex.split(match[1])
        elif match := re.fullmatch(r"// Test: exit (\d+)", line):
            status = int(match[1])
        elif re.fullmatch(r"// Prints:\s*", line):
            printed, inside = [], True
    return arguments, printed, status


def main():
    parser = argparse.ArgumentParser()
    promise = parser.add_mutually_exclusive_group(required=True)
    promise.add_argument("--source")
    promise.add_argument("--expected")
    parser.add_argument("--directory", default=None)
    parser.add_argument("program")
    options = parser.parse_args()

    if options.source:
        arguments, expected, status = promise_of(options.source)
    else:
        with open(options.expected, encoding="utf-8") as file:
            arguments, expected, status = [], file.read().splitlines(), 0

    result = subprocess.run(
        [options.program, *arguments],
        cwd=options.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    failed = False
    if result.returncode != status:
        print(f"exit status {result.returncode}, expected {status}")
        failed = True
    printed = result.stdout.splitlines()
    # A comment cannot end in blanks, so blanks at the end of a line do not count.
    if expected is not None and [line.rstrip() for line in printed] != [line.rstrip() for line in expected]:
        print("\n".join(difflib.unified_diff(expected, printed, "expected", "printed", lineterm="")))
        failed = True
    elif failed:
        print(result.stdout)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
