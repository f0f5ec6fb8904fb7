#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compares what g++ makes of the headers with the figures that are kept: what it allocates to read them, and what it
compiles for the first program of the README beyond an empty file that includes them. That repeats to the byte, and goes
with the seconds, which do not.

    check_compile_cost.py CXX COMPILER INCLUDE README [--update]

CXX is g++; COMPILER the key of its figures in compile_cost.json, such as "GNU 12.2.0"; INCLUDE the headers' folder;
README the file whose first C++ block is the program. Exit status 1 when one of them costs 5 % more, 77 when there is
nothing to compare with. --update writes the figures down.
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


class Compilation:
    """What a compiler does with a text. With an optimisation level it makes an object of it, else it only reads it."""

    def __init__(self, compiler: str, include: str, text: str, level: str = ""):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "file.cpp"
            file.write_text(text)
            made = file.with_suffix(".o")
            what = [level, "-c", "-o", made] if level else ["-fsyntax-only"]
            run = subprocess.run([compiler, "-std=c++20", f"-I{include}", *what, "-ftime-report", file],
                                 capture_output=True, text=True)
            found = re.search(r"^ TOTAL .*?(\d+)([kM])\s*$", run.stderr, re.MULTILINE)
            if run.returncode != 0 or found is None:
                sys.exit(f"{compiler} did not report what it allocates for this:\n{text}\n{run.stderr}")
            self.megabytes = int(found[1]) / (1000 if found[2] == "k" else 1)
            self.functions = self.code = 0
            if level:
                symbols = subprocess.run(["nm", made], check=True, capture_output=True, text=True).stdout
                self.functions = len(re.findall(r" [tTwW] ", symbols))
                sections = subprocess.run(["size", "-A", made], check=True, capture_output=True, text=True).stdout
                self.code = sum(int(size) for size in re.findall(r"^\.text\S*\s+(\d+)", sections, re.MULTILINE))


def of_program(compiler: str, include: str, program: str) -> dict:
    """What it costs beyond an empty file with the same headers."""
    empty = "".join(re.findall(r"^#include <asynchio.*\n", program, re.MULTILINE))
    figures = {}
    for level in ("-O0", "-O2"):
        whole, headers = (Compilation(compiler, include, text, level) for text in (program, empty))
        figures |= {
            f"first program, functions at {level}": whole.functions - headers.functions,
            f"first program, bytes of code at {level}": whole.code - headers.code,
            f"first program, MB at {level}": whole.megabytes - headers.megabytes,
        }
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares what the headers cost to compile with what is kept")
    parser.add_argument("cxx", metavar="CXX")
    parser.add_argument("compiler", metavar="COMPILER")
    parser.add_argument("include", metavar="INCLUDE")
    parser.add_argument("readme", metavar="README", type=pathlib.Path)
    parser.add_argument("--update", action="store_true", help="write the figures down")
    options = parser.parse_args()
    figures = KeptFigures(pathlib.Path(__file__).with_name("compile_cost.json"), options.compiler, options.update)
    program = re.search(r"^```cpp\n(.*?)^```$", options.readme.read_text(), re.MULTILINE | re.DOTALL)
    if program is None:
        sys.exit(f"{options.readme} has no C++ block")
    now = {f"{header}, MB": Compilation(options.cxx, options.include, f"#include <{header}>\n").megabytes
           for header in HEADERS}
    return figures.compare(now | of_program(options.cxx, options.include, program[1]), "")


if __name__ == "__main__":
    sys.exit(main())
