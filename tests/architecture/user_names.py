#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Names are looked up in the library alone: what a user's namespace declares under the same name is never found.

    user_names.py SOURCE INCLUDE COMPILER [FLAG...]

SOURCE uses the library with types of a namespace `greedy`. Before it stands, in that namespace, a deleted template that
takes anything for each name that a header below INCLUDE calls without saying where it is: a call that argument-dependent
lookup takes there does not compile.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

KEYWORDS = set(
    "if while for switch return sizeof alignof catch decltype noexcept static_assert requires alignas explicit operator throw "
    "co_return co_await co_yield new delete defined typeid bool int unsigned void char auto const_cast static_cast "
    "reinterpret_cast dynamic_cast this not and or assert".split()
)
LOOKED_UP = {"begin", "end"}  # of a range, as a range-for does
CALL = re.compile(r"(?<![\w.:>~])([a-z][a-z0-9_]*)(?:<[^<>()]*>)?\(")


def called(include):
    names = set()
    for path in include.rglob("*.hpp"):
        text = re.sub(r'//[^\n]*|"(?:\\.|[^"\\\n])*"', "", path.read_text(encoding="utf-8"))
        names |= set(CALL.findall(text))
    return sorted(names - KEYWORDS - LOOKED_UP)


def main(source, include, compiler, *flags):
    names = called(Path(include))
    with tempfile.TemporaryDirectory() as folder:
        generated = Path(folder, "greedy.hpp")
        lines = [f"template<class... A> void {name}(A&&...) = delete;" for name in names]
        generated.write_text("namespace greedy {\n" + "\n".join(lines) + "\n}\n", encoding="utf-8")
        command = [compiler, "-std=c++20", "-I", include, *flags, "-O0", "-pthread", "-include", str(generated), source]
        program = str(Path(folder, "program"))
        built = subprocess.run([*command, "-o", program], capture_output=True, text=True)
        if built.returncode != 0:
            print(f"with {len(names)} names of a user's namespace:\n{built.stderr}")
            return 1
        return subprocess.run([program], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
