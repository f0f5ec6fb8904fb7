#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compares what g++ allocates to read the headers with the figures that are kept. That repeats to the byte, and goes
with the seconds, which do not.

    check_compile_cost.py CXX COMPILER INCLUDE [--update]

CXX is g++; COMPILER the key of its figures in compile_cost.json, such as "GNU 12.2.0"; INCLUDE the headers' folder. Exit
status 1 when a header costs 5 % more, 77 when there is nothing to compare with. --update writes the figures down.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from kept_figures import KeptFigures  # noqa: E402

HEADERS = ("asynchio.hpp", "asynchio/task.hpp", "asynchio/task/task.hpp")


def allocated(compiler: str, include: str, header: str) -> float:
    """Millions of bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "file.cpp"
        file.write_text(f"#include <{header}>\n")
        run = subprocess.run([compiler, "-std=c++20", f"-I{include}", "-fsyntax-only", "-ftime-report", file],
                             capture_output=True, text=True)
    found = re.search(r"^ TOTAL .*?(\d+)([kM])\s*$", run.stderr, re.MULTILINE)
    if run.returncode != 0 or found is None:
        sys.exit(f"{header}: {compiler} did not report what it allocates\n{run.stderr}")
    return int(found[1]) / (1000 if found[2] == "k" else 1)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares what the headers cost to compile with what is kept")
    parser.add_argument("cxx", metavar="CXX")
    parser.add_argument("compiler", metavar="COMPILER")
    parser.add_argument("include", metavar="INCLUDE")
    parser.add_argument("--update", action="store_true", help="write the figures down")
    options = parser.parse_args()
    figures = KeptFigures(pathlib.Path(__file__).with_name("compile_cost.json"), options.compiler, options.update)
    return figures.compare({header: allocated(options.cxx, options.include, header) for header in HEADERS}, "MB")


if __name__ == "__main__":
    sys.exit(main())
