#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Which lines of the headers the tests ran: `coverage.py BUILD` after `cmake --workflow --preset coverage`.

Prints each header's share of executed lines and the lines that were not, and ends with the total. A line of a template
counts as run when any instantiation ran it. With `--least PERCENT`, exits with 1 below that.
"""

import argparse
import collections
import json
import subprocess
import sys
from pathlib import Path


def ranges(numbers):
    """[3, 4, 5, 9] -> "3-5 9" """
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--least", type=float, default=0)
    options = parser.parse_args()

    include = Path(__file__).resolve().parents[2] / "include"
    counts = collections.defaultdict(collections.Counter)
    for data in sorted(options.build.resolve().rglob("*.gcda")):
        command = ["gcov", "--json-format", "--stdout", str(data)]
        output = subprocess.run(command, cwd=data.parent, stdout=subprocess.PIPE, check=True, text=True).stdout
        for document in output.splitlines():
            for file in json.loads(document)["files"]:
                path = (data.parent / file["file"]).resolve()
                if include in path.parents:
                    for line in file["lines"]:
                        counts[path.relative_to(include)][line["line_number"]] += line["count"]

    all_lines = all_run = 0
    for path, lines in sorted(counts.items()):
        missed = [number for number, count in lines.items() if count == 0]
        all_lines += len(lines)
        all_run += len(lines) - len(missed)
        print(f"{100 * (1 - len(missed) / len(lines)):6.1f} %  {path}  {ranges(missed)}".rstrip())
    if not all_lines:
        sys.exit(f"no counters below {options.build}")
    total = 100 * all_run / all_lines
    print(f"{total:6.1f} %  of {all_lines} lines")
    return 1 if total < options.least else 0


if __name__ == "__main__":
    sys.exit(main())
