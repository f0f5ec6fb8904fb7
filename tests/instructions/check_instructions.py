#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Counts the instructions of the hottest paths with callgrind, which repeats to a few parts in a thousand, and compares
them with the figures that are kept.

    check_instructions.py HOT_PATHS COMPILER [--update]

HOT_PATHS is the program; COMPILER the key of its figures in instructions.json, such as "GNU 12.2.0". Exit status 1 when a
path has grown by more than 5 %, 77 when there is nothing to compare with. --update writes the figures down.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from kept_figures import SKIPPED, KeptFigures  # noqa: E402

COUNT = 10_000


def counted(program: str, path: str, count: int) -> int:
    run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, path, str(count)],
                         capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or found is None:
        sys.exit(f"{path}: callgrind failed\n{run.stderr}")
    return int(found[1])


def of_one(program: str, path: str) -> float:
    """What twice as many cost more: the start and the end of the program do not count."""
    return (counted(program, path, 2 * COUNT) - counted(program, path, COUNT)) / COUNT


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the instruction counts of the hottest paths with those that are kept")
    parser.add_argument("program", metavar="HOT_PATHS")
    parser.add_argument("compiler", metavar="COMPILER")
    parser.add_argument("--update", action="store_true", help="write the figures down")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed (Debian: valgrind)")
        return SKIPPED
    figures = KeptFigures(pathlib.Path(__file__).with_name("instructions.json"), options.compiler, options.update)
    paths = subprocess.run([options.program], check=True, capture_output=True, text=True).stdout.splitlines()
    with ThreadPoolExecutor(max_workers=2) as pool:
        now = dict(zip(paths, pool.map(lambda path: of_one(options.program, path), paths)))
    return figures.compare(now, "instructions")


if __name__ == "__main__":
    sys.exit(main())
