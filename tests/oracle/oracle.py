#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compares asynchio with CPython's asyncio on random programs.

    oracle.py EXECUTABLE --seed 7 --count 1000      programs 0 to 999 of the series 7
    oracle.py EXECUTABLE --seed today               the day's series
    oracle.py EXECUTABLE --seed 7 --only 12         program 12 alone, with both traces
    oracle.py EXECUTABLE --file FILE                programs that are written down, one on a line

Ends with 0 when all are equal, with 1 when some differ, and with 77 (skipped) when CPython 3.13 cannot be had; with 1 in
that case, too, if the environment has ASYNCHIO_ORACLE_REQUIRED.
"""

import argparse
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from comparison import both_sides, equal, side_by_side, signature  # noqa: E402
from generator import program as make_program  # noqa: E402
from generator import programs as make_programs  # noqa: E402
from language import parse  # noqa: E402
from reference import locate  # noqa: E402
from shrinker import shrink, size  # noqa: E402

SKIPPED = 77
AT_ONCE = 2000


def read_arguments():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("executable", help="asynchio_oracle")
    words.add_argument("--seed", default="1", help="of the series, or `today`")
    words.add_argument("--count", type=int, default=1000, help="how many programs")
    words.add_argument("--first", type=int, default=0, help="the number of the first one")
    words.add_argument("--only", type=int, help="one number: shows both traces")
    words.add_argument("--file", help="reads programs instead of making them")
    words.add_argument("--avoid", default="", help="statements and themes to leave out, separated by commas")
    words.add_argument("--shrink", type=float, default=60, help="how many seconds to shrink what differs")
    words.add_argument("--kinds", type=int, default=8, help="how many kinds of differences are shown")
    words.add_argument("--folder", default=str(HERE.parents[1] / "build" / "oracle"), help="keeps the reference")
    return words.parse_args()


def programs_of(options, seed):
    avoided = frozenset(filter(None, options.avoid.split(",")))
    if options.file:
        lines = Path(options.file).read_text(encoding="utf-8").splitlines()
        return [parse(line) for line in lines if line.startswith("(")]
    if options.only is not None:
        return [make_program(seed, options.only, avoided)]
    return make_programs(seed, options.count, avoided, options.first)


def compare(options, programs):
    """The kinds of differences, the most frequent first: signature and numbers."""
    kinds = {}
    for start in range(0, len(programs), AT_ONCE):
        part = programs[start : start + AT_ONCE]
        for number, pair in enumerate(both_sides(options.executable, part), start):
            if not equal(pair):
                kinds.setdefault(signature(programs[number], pair), []).append(number)
        if len(programs) > 2 * AT_ONCE:
            different = sum(len(numbers) for numbers in kinds.values())
            print(f"so far {start + len(part) - different} of {start + len(part)} are equal", flush=True)
    return sorted(kinds.items(), key=lambda kind: -len(kind[1]))


def show(options, programs, kinds, seed):
    """The smallest program of each kind, shrunk, with both traces."""
    end = time.monotonic() + options.shrink
    for index, (what, numbers) in enumerate(kinds[: options.kinds]):
        number = min(numbers, key=lambda each: size(programs[each]))
        share = (end - time.monotonic()) / (min(len(kinds), options.kinds) - index)
        small = shrink(options.executable, programs[number], what, share)
        (pair,) = both_sides(options.executable, [small])
        print(f"\n== {what} ({len(numbers)} such; --seed {seed} --only {options.first + number})\n")
        print(side_by_side(small, pair), flush=True)


def main():
    options = read_arguments()
    problem = locate.use_asyncio(options.folder)
    if problem:
        print(f"skipped: {problem}")
        return 1 if os.environ.get("ASYNCHIO_ORACLE_REQUIRED") else SKIPPED
    seed = int(time.strftime("%Y%m%d")) if options.seed == "today" else int(options.seed)
    programs = programs_of(options, seed)
    if options.only is not None:
        (pair,) = both_sides(options.executable, programs)
        print(side_by_side(programs[0], pair))
        return 0 if equal(pair) else 1
    begin = time.monotonic()
    kinds = compare(options, programs)
    for what, numbers in kinds:
        print(f"{len(numbers):6}  {what}")
    different = sum(len(numbers) for _, numbers in kinds)
    took = time.monotonic() - begin
    print(f"equal {len(programs) - different} of {len(programs)} (seed {seed}, {took:.0f} s)", flush=True)
    if kinds and options.kinds:
        show(options, programs, kinds, seed)
    return 1 if different else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # what programs left suspended is not worth waiting for
