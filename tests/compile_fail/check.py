#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""A file of this folder must not compile, and must say why.

It carries one or more lines `// expect: REGEX`, each of which the compiler's messages must match, and it must compile
once ASYNCHIO_CORRECT is defined, so that it cannot pass because of a typo. A line `// compiler: gnu<13` (or `clang`,
`gnu>=12`, ...) limits it to a compiler; elsewhere it is skipped.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys

SKIPPED = 77


def version(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def applies(condition, name, compiler_version):
    match = re.fullmatch(r"(gnu|clang)\s*(?:(<|>=)\s*([\d.]+))?", condition.strip())
    if not match:
        sys.exit(f"cannot read '// compiler: {condition}': expected gnu or clang, then < or >= and a version")
    wanted, comparison, limit = match.groups()
    if wanted != name:
        return False
    if comparison is None:
        return True
    older = compiler_version < version(limit)
    return older if comparison == "<" else not older


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--compiler-id", required=True)
    parser.add_argument("--compiler-version", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--flags", default="")
    parser.add_argument("source")
    options = parser.parse_args()

    with open(options.source, encoding="utf-8") as file:
        text = file.read()
    expected = [line.strip() for line in re.findall(r"^// expect:(.*)$", text, re.M)]
    conditions = re.findall(r"^// compiler:(.*)$", text, re.M)
    if not expected:
        sys.exit(f"{options.source}: no line '// expect: REGEX'")
    if "ASYNCHIO_CORRECT" not in text:
        sys.exit(f"{options.source}: no right spelling under #ifdef ASYNCHIO_CORRECT")

    name = "gnu" if options.compiler_id == "GNU" else "clang"
    if conditions and not any(applies(c, name, version(options.compiler_version)) for c in conditions):
        print(f"skipped: only for {' or '.join(c.strip() for c in conditions)}")
        return SKIPPED

    # Not -fsyntax-only: some of g++'s messages about coroutines come later.
    command = [options.compiler, "-std=c++20", "-I", options.include, *shlex.split(options.flags), "-O0", "-Wall"]
    command += ["-Wextra", "-Werror", "-pthread", "-c", "-o", os.devnull, options.source]
    environment = {**os.environ, "LC_ALL": "C"}

    def compile_with(*more):
        return subprocess.run(command + list(more), env=environment, capture_output=True, text=True, errors="replace")

    failed = False
    control = compile_with("-DASYNCHIO_CORRECT")
    if control.returncode != 0:
        print(f"the right spelling (-DASYNCHIO_CORRECT) does not compile:\n{control.stderr}")
        failed = True
    wrong = compile_with()
    if wrong.returncode == 0:
        print("compiled, but must not")
        return 1
    missing = [pattern for pattern in expected if not re.search(pattern, wrong.stderr)]
    for pattern in missing:
        print(f"no message matches: {pattern}")
    if missing:
        print(f"the messages were:\n{wrong.stderr}")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
