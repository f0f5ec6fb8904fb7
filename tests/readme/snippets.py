#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Compiles each C++ block of a README.

    snippets.py README PRELUDE --compiler CXX --include DIR [--flags "..."]

A block with a main is compiled as it stands, of any other what it declares in namespace scope (functions whose body
follows) as such and the rest as the body of a coroutine, after PRELUDE, which declares what the text leaves to the reader.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path


def program(block: str, prelude: str) -> str:
    if "int main()" in block:
        return block
    declared, body = [], []
    lines = block.splitlines()
    at = 0
    while at < len(lines):
        if re.match(r"aio::\w+<.*\) \{$", lines[at]):
            end = lines.index("}", at)
            declared += lines[at : end + 1]
            at = end + 1
        else:
            body.append(lines[at])
            at += 1
    text = prelude + "\n".join(declared)
    return text + "\naio::task<> snippet() {\n" + "\n".join(body) + "\nco_return;\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readme", type=Path)
    parser.add_argument("prelude", type=Path)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--flags", default="")
    options = parser.parse_args()

    blocks = re.findall(r"```cpp\n(.*?)```", options.readme.read_text(), re.DOTALL)
    if not blocks:
        print(f"{options.readme}: no C++ block", file=sys.stderr)
        return 1
    flags = [each for each in shlex.split(options.flags) if each.startswith("-stdlib") or each.startswith("-fexperimental")]
    failed = 0
    for number, block in enumerate(blocks, 1):
        command = [options.compiler, "-std=c++20", "-fsyntax-only", f"-I{options.include}", *flags, "-x", "c++", "-"]
        result = subprocess.run(command, input=program(block, options.prelude.read_text()), text=True, capture_output=True)
        if result.returncode != 0:
            failed += 1
            print(f"block {number} does not compile:\n{block}\n{result.stderr}", file=sys.stderr)
    print(f"{len(blocks) - failed} of {len(blocks)} blocks compile")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
