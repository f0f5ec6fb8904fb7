#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compares asynchio with CPython's asyncio on random programs.

    oracle.py EXECUTABLE --seed 7 --count 1000      programs 0 to 999 of the series 7
    oracle.py EXECUTABLE --seed today               the day's series
    oracle.py EXECUTABLE --seed 7 --only 12         program 12 alone, with both traces
    oracle.py EXECUTABLE --file FILE                programs that are written down, one on a line

Ends with 0 when all are equal, with 1 when more differ than are allowed, and with 77 (skipped) when CPython 3.13 cannot be had; with 1 in
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
    words.add_argument("--allowed", type=int, default=0, help="how many may differ; a crash is never allowed")
    words.add_argument("--shrink", type=float, default=60, help="how many seconds to shrink what differs")
    words.add_argument("--kinds", type=int, default=8, help="how many kinds of differences are shown")
    words.add_argument("--folder", default=str(HERE.parents[1] / "build" / "oracle"), help="keeps the reference")
    return words.parse_args()


def parts_of(options, seed):
    """The programs, some at a time, each with its number."""
    avoided = frozenset(filter(None, options.avoid.split(",")))
    if options.file:
        lines = Path(options.file).read_text(encoding="utf-8").splitlines()
        yield list(enumerate(parse(line) for line in lines if line.startswith("(")))
        return
    first, count = (options.first, options.count) if options.only is None else (options.only, 1)
    for start in range(first, first + count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, first + count))
        yield [(number, make_program(seed, number, avoided)) for number in numbers]


def compare(options, seed):
    """How many there were, how many of them crashed, and the kinds of differences: by signature, programs with numbers."""
    kinds, total, different, crashed = {}, 0, 0, 0
    for part in parts_of(options, seed):
        pairs = both_sides(options.executable, [program for _, program in part])
        for (number, program), pair in zip(part, pairs):
            if not equal(pair):
                different += 1
                crashed += any(line.startswith(("CRASH", "AUDIT")) for line in pair[1])
                kinds.setdefault(signature(program, pair), []).append((number, program))
        total += len(part)
        if options.count > 2 * AT_ONCE:
            print(f"so far {total - different} of {total} are equal", flush=True)
    return total, crashed, sorted(kinds.items(), key=lambda kind: -len(kind[1]))


def show(options, kinds, seed):
    """The smallest program of each kind, shrunk, with both traces."""
    end = time.monotonic() + options.shrink
    for index, (what, found) in enumerate(kinds[: options.kinds]):
        number, program = min(found, key=lambda each: size(each[1]))
        share = (end - time.monotonic()) / (min(len(kinds), options.kinds) - index)
        small = shrink(options.executable, program, what, share)
        (pair,) = both_sides(options.executable, [small])
        print(f"\n== {what} ({len(found)} such; --seed {seed} --only {number})\n")
        print(side_by_side(small, pair), flush=True)


def show_one(options, seed):
    ((_, program),) = next(parts_of(options, seed))
    (pair,) = both_sides(options.executable, [program])
    print(side_by_side(program, pair))
    return 0 if equal(pair) else 1


def main():
    options = read_arguments()
    problem = locate.use_asyncio(options.folder)
    if problem:
        print(f"skipped: {problem}")
        return 1 if os.environ.get("ASYNCHIO_ORACLE_REQUIRED") else SKIPPED
    seed = int(time.strftime("%Y%m%d")) if options.seed == "today" else int(options.seed)
    if options.only is not None:
        return show_one(options, seed)
    begin = time.monotonic()
    total, crashed, kinds = compare(options, seed)
    for what, found in kinds:
        print(f"{len(found):6}  {what}")
    different = sum(len(found) for _, found in kinds)
    took = time.monotonic() - begin
    print(f"equal {total - different} of {total} (seed {seed}, {took:.0f} s)", flush=True)
    show(options, kinds, seed)
    return 1 if crashed or different > options.allowed else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # what programs left suspended is not worth waiting for
