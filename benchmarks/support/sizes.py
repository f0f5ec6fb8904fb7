#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What it costs to include the headers, and how large programs are, as JSON.

    python3 benchmarks/support/sizes.py

Seconds of the compiler at -O0, the least of five, and the megabytes that g++ allocates meanwhile; the object at -O2; the program, linked at -O2 and stripped.
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
        "atomic", "chrono", "condition_variable", "coroutine", "memory", "mutex", "optional", "ostream", "source_location",
        "sstream", "stop_token", "string", "system_error", "tuple", "variant", "vector")),
    "asynchio/task/task.hpp": "#include <asynchio/task/task.hpp>\n",
    "asynchio/task.hpp": "#include <asynchio/task.hpp>\n",
    "asynchio/combine.hpp": "#include <asynchio/combine.hpp>\n",
    "asynchio/io.hpp": "#include <asynchio/io.hpp>\n",
    "asynchio.hpp": "#include <asynchio.hpp>\n",
    "a file with one task": "#include <asynchio/task/task.hpp>\nasynchio::task<int> one() { co_return 1; }\n",
    "a program that runs one task":
        "#include <asynchio/task.hpp>\nasynchio::task<int> one() { co_return 1; }\nint main() { return asynchio::run(one()); }\n",
}
ASIO = {
    "the same with Asio":
        "#include <asio.hpp>\nasio::awaitable<int> one() { co_return 1; }\n"
        "int main() {\n    asio::io_context loop;\n    asio::co_spawn(loop, one(), asio::detached);\n    loop.run();\n}\n",
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
            common = [compiler, "-std=c++20", f"-I{ROOT / 'include'}", "-pthread", "-DASIO_HAS_CO_AWAIT",
                      "-DASIO_HAS_STD_COROUTINE", file, "-o", out]
            has_asio = subprocess.run([*common[:-3], "-fsyntax-only", "-x", "c++", "-include", "asio.hpp", "/dev/null"],
                                      capture_output=True).returncode == 0
            for what, text in {**FILES, **(ASIO if has_asio else {}), **PROGRAMS}.items():
                print(f"{compiler}: {what} ...", file=sys.stderr, flush=True)
                file.write_text(text)
                row = {"what": what, "compiler": compiler,
                       "seconds": min(seconds_of(*common, "-O0", "-c") for _ in range(5))}
                allocated = re.search(r"^ TOTAL .*?(\d+)([kM])\s*$", subprocess.run(
                    [*common, "-O0", "-c", "-ftime-report"], check=True, capture_output=True, text=True).stderr, re.MULTILINE)
                if compiler == "g++" and allocated:
                    row["allocated_mb"] = int(allocated[1]) / (1000 if allocated[2] == "k" else 1)
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
