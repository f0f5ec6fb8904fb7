#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What it costs to include the headers, and how large programs are, as JSON.

    python3 benchmarks/support/sizes.py

Seconds of the compiler at -O0, the least of three; the object at -O2; the program, linked at -O2 and stripped.
"""

import json
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELLO = re.search(r"```cpp\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
FILES = {
    "an empty file": "",
    "the standard headers that everything needs": "".join(f"#include <{name}>\n" for name in (
        "algorithm", "chrono", "condition_variable", "coroutine", "functional", "future", "map", "memory", "mutex", "optional",
        "ostream", "source_location", "sstream", "string", "system_error", "thread", "tuple", "variant", "vector")),
    "asynchio/task/task.hpp": "#include <asynchio/task/task.hpp>\n",
    "asynchio/task.hpp": "#include <asynchio/task.hpp>\n",
    "asynchio/combine.hpp": "#include <asynchio/combine.hpp>\n",
    "asynchio/net.hpp": "#include <asynchio/net.hpp>\n",
    "asynchio.hpp": "#include <asynchio.hpp>\n",
}
PROGRAMS = {
    "a program that does nothing": "int main() {}\n",
    "a program that starts a std::thread": "#include <thread>\n#include <cstdio>\nint main() {\n    std::thread([] { std::puts(\"hello\"); }).join();\n}\n",
    "the README's first program": HELLO,
}


def seconds_of(*command) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> int:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file, out = pathlib.Path(folder) / "file.cpp", pathlib.Path(folder) / "out"
        for compiler in ("g++", "clang++-19"):
            if shutil.which(compiler) is None:
                continue
            common = [compiler, "-std=c++20", f"-I{ROOT / 'include'}", "-pthread", file, "-o", out]
            for what, text in {**FILES, **PROGRAMS}.items():
                print(f"{compiler}: {what} ...", file=sys.stderr, flush=True)
                file.write_text(text)
                row = {"what": what, "compiler": compiler,
                       "seconds": min(seconds_of(*common, "-O0", "-c") for _ in range(3))}
                subprocess.run([*common, "-O2", "-c"], check=True)
                row["object_bytes"] = out.stat().st_size
                if what in PROGRAMS:
                    subprocess.run([*common, "-O2", "-s"], check=True)
                    row["program_bytes"] = out.stat().st_size
                rows.append(row)
    print(json.dumps({"sizes": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
