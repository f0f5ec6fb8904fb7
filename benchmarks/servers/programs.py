#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Measures two of the examples beside the programs one would use else, and prints a table for each, in Markdown:
static_file_server beside nginx, which serves the same files (one worker, sendfile), and load_test beside wrk, which loads
the same nginx.

    cmake --preset test && cmake --build --preset rest
    python3 benchmarks/servers/programs.py build/test [--connections N] [--seconds S] [--repetitions N] [--json FILE]
"""

import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

from run import Table, arguments, by_turns, load_http, measure, medians, spread, start_nginx, write_json

FILES = {"600 bytes": ("small.txt", 600), "1 MiB": ("large.bin", 1 << 20)}


def start_file_server(program, folder):
    process = subprocess.Popen([program, "--port", "0", folder], stdout=subprocess.PIPE, text=True)
    return process, int(re.search(r":(\d+)/", process.stdout.readline())[1])


def files(options, folder):
    result = Table(f"files, {options.connections} connections", "CPU a request", "least – most", "requests a second", "p50", "p99")
    site = folder / "site"
    site.mkdir()
    contenders = {
        "static_file_server": lambda: start_file_server(options.build / "examples/static_file_server", site),
        "nginx": lambda: start_nginx(folder, f"root {site};"),
    }
    for title, (name, size) in FILES.items():
        (site / name).write_bytes(os.urandom(size))
        runs = by_turns(contenders, lambda start: measure(
            start, lambda build, port, o: load_http(build, port, o, name), options.build, options), options.repetitions)
        for contender, all_runs in runs.items():
            middle = medians(all_runs)
            result.add(f"{title}, {contender}", f"{middle['cpu']:.1f} µs", spread([run["cpu"] for run in all_runs]),
                       f"{middle['rate']:,.0f}", f"{middle['p50']:,.0f} µs", f"{middle['p99']:,.0f} µs")
    return result


def load_test(program):
    def load(_, port, options):
        out = subprocess.run([program, "--connections", str(options.connections), "--seconds", str(options.seconds), f"http://127.0.0.1:{port}/"],
                             check=True, capture_output=True, text=True).stdout
        requests, rate = re.search(r"requests +(\d+) in [\d.]+ s, (\d+) a second", out).groups()
        p50, p99 = re.search(r"p50 ([\d.]+) ms.* p99 ([\d.]+) ms", out).groups()
        return {"requests": int(requests), "rate": float(rate), "p50": float(p50) * 1e3, "p99": float(p99) * 1e3}
    return load


def loads(options, folder):
    result = Table(f"nginx under load, {options.connections} connections", "requests a second", "least – most", "p50", "p99",
                   "CPU of the client a request")

    def run(load):
        def watched(build, port, o):
            begin = resource.getrusage(resource.RUSAGE_CHILDREN)
            found = load(build, port, o)
            end = resource.getrusage(resource.RUSAGE_CHILDREN)
            found["client"] = (end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime) / found["requests"] * 1e6
            return found
        return measure(lambda: start_nginx(folder), watched, options.build, options)

    runs = by_turns({"load_test": load_test(options.build / "examples/load_test"), "wrk": load_http}, run, options.repetitions)
    for contender, all_runs in runs.items():
        middle, rates = medians(all_runs), [run["rate"] for run in all_runs]
        result.add(contender, f"{middle['rate']:,.0f}", f"{min(rates):,.0f} – {max(rates):,.0f}", f"{middle['p50']:,.0f} µs",
                   f"{middle['p99']:,.0f} µs", f"{middle['client']:.1f} µs")
    return result


def main() -> int:
    options = arguments("Measures static_file_server beside nginx, and load_test beside wrk",
                        "the build folder, such as build/test, which has the examples", connections=50, seconds=2, repetitions=5)
    missing = [name for name in ("wrk", "nginx") if shutil.which(name) is None]
    if missing:
        print(f"{' and '.join(missing)}: not installed (Debian: wrk, nginx-light)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # nginx's worker is another user
        write_json(options.json, [files(options, pathlib.Path(folder)), loads(options, pathlib.Path(folder))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
