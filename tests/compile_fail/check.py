#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The files of this folder must not compile, and must say why.

Each carries one or more lines `// expect: REGEX`, each of which the compiler's messages must match, and it must compile
once ASYNCHIO_CORRECT is defined, so that it cannot pass because of a typo. A line `// compiler: gnu<13` (or `clang`,
`gnu>=12`, ...) limits it to a compiler; elsewhere it is skipped.

Reading the headers takes most of the time, so the files that are named together are compiled together first, each in a
namespace of its own below all their headers. What that does not show is compiled alone: a file without its message
(another file may have instantiated the same template), and every file if the right spellings do not compile.
"""

import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

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


class Case:
    def __init__(self, path):
        self.path = path.resolve()
        self.text = path.read_text(encoding="utf-8")
        self.expected = [line.strip() for line in re.findall(r"^// expect:(.*)$", self.text, re.M)]
        self.compilers = re.findall(r"^// compiler:(.*)$", self.text, re.M)
        self.includes = re.findall(r"^#include .*$", self.text, re.M)
        if not self.expected:
            sys.exit(f"{path}: no line '// expect: REGEX'")
        if "ASYNCHIO_CORRECT" not in self.text:
            sys.exit(f"{path}: no right spelling under #ifdef ASYNCHIO_CORRECT")

    def missing(self, messages):
        return [pattern for pattern in self.expected if not re.search(pattern, messages)]


def together(cases):
    lines = sorted({include for case in cases for include in case.includes})
    for number, case in enumerate(cases):
        lines += [f"namespace case_{number} {{", f'#include "{case.path}"', "}"]
    return "\n".join(lines) + "\n"


def messages_by_file(messages, cases):
    """The messages of each file: those between two errors or warnings that name it."""
    blocks, block = [], []
    for line in messages.splitlines():
        if block and re.match(r"In file included from|\S+: (In|At) |\S+:\d+:\d+: +(error|warning|fatal error|required)", line):
            if any(re.match(r"\S+:\d+:\d+: +(error|warning|fatal error):", each) for each in block):
                blocks.append("\n".join(block))
                block = []
        block.append(line)
    blocks.append("\n".join(block))
    return {case: "\n".join(each for each in blocks if str(case.path) in each) for case in cases}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--compiler-id", required=True)
    parser.add_argument("--compiler-version", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--flags", default="")
    parser.add_argument("sources", nargs="+", type=pathlib.Path)
    options = parser.parse_args()

    name = "gnu" if options.compiler_id == "GNU" else "clang"
    compiler_version = version(options.compiler_version)
    cases = []
    for case in map(Case, options.sources):
        if case.compilers and not any(applies(c, name, compiler_version) for c in case.compilers):
            print(f"{case.path.stem}: skipped, only for {' or '.join(c.strip() for c in case.compilers)}")
        else:
            cases.append(case)
    if not cases:
        return SKIPPED

    command = [options.compiler, "-std=c++20", "-I", options.include, *shlex.split(options.flags), "-O0", "-Wall"]
    command += ["-Wextra", "-Werror", "-pthread", "-ferror-limit=0" if name == "clang" else "-fmax-errors=0"]
    # The wrong spellings not with -fsyntax-only: some of g++'s messages about coroutines come later.
    right, wrong = ["-DASYNCHIO_CORRECT", "-fsyntax-only"], ["-c", "-o", os.devnull]
    environment = {**os.environ, "LC_ALL": "C"}

    def compile_as(spelling, source):
        return subprocess.run(
            command + spelling + [str(source)], env=environment, capture_output=True, text=True, errors="replace"
        )

    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "together.cpp")
        source.write_text(together(cases), encoding="utf-8")
        if name == "gnu": # which takes an included file for one that other sources may include as well
            command.append("-Wno-subobject-linkage")
        all_right = compile_as(right, source).returncode == 0
        seen = messages_by_file(compile_as(wrong, source).stderr, cases)

    failed = False
    for case in cases:
        if not all_right:
            control = compile_as(right, case.path)
            if control.returncode != 0:
                print(f"{case.path.stem}: the right spelling (-DASYNCHIO_CORRECT) does not compile:\n{control.stderr}")
                failed = True
        if not case.missing(seen[case]):
            continue
        alone = compile_as(wrong, case.path)
        if alone.returncode == 0:
            print(f"{case.path.stem}: compiled, but must not")
            failed = True
        elif case.missing(alone.stderr):
            for pattern in case.missing(alone.stderr):
                print(f"{case.path.stem}: no message matches: {pattern}")
            print(f"the messages were:\n{alone.stderr}")
            failed = True
        else:
            print(f"{case.path.stem}: has its message alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
