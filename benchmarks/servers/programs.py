#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Measures two of the examples beside the programs one would use else, and prints a table for each, in Markdown:
static_file_server beside nginx, which serves the same files (one worker, sendfile), and load_test beside wrk, which loads
the same nginx.

    cmake --preset test && cmake --build --preset test
    python3 benchmarks/servers/programs.py build/test [--connections N] [--seconds S] [--repetitions N]
"""

import argparse
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

from run import load_http, measure, start_nginx

FILES = {"600 bytes": ("small.txt", 600), "1 MiB": ("large.bin", 1 << 20)}


def start_file_server(program, folder):
    process = subprocess.Popen([program, "--port", "0", folder], stdout=subprocess.PIPE, text=True)
    return process, int(re.search(r":(\d+)/", process.stdout.readline())[1])


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def by_turns(contenders, run, repetitions):
    """Each contender `repetitions` times, by turns, so that a change of the machine's mood meets all."""
    runs = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, start in contenders.items():
            print(f"{name} ...", file=sys.stderr, flush=True)
            runs[name].append(run(start))
    return runs


def files(options, folder):
    print(f"\n| files, {options.connections} connections | CPU a request | least – most | requests a second | p50 | p99 |\n|---|---:|---:|---:|---:|---:|")
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
            middle, cpus = medians(all_runs), [run["cpu"] for run in all_runs]
            print(f"| {title}, {contender} | {middle['cpu']:.1f} µs | {min(cpus):.1f} – {max(cpus):.1f} | {middle['rate']:,.0f} | {middle['p50']:,.0f} µs | "
                  f"{middle['p99']:,.0f} µs |", flush=True)


def load_test(program):
    def load(_, port, options):
        out = subprocess.run([program, "--connections", str(options.connections), "--seconds", str(options.seconds), f"http://127.0.0.1:{port}/"],
                             check=True, capture_output=True, text=True).stdout
        requests, rate = re.search(r"requests +(\d+) in [\d.]+ s, (\d+) a second", out).groups()
        p50, p99 = re.search(r"p50 ([\d.]+) ms.* p99 ([\d.]+) ms", out).groups()
        return {"requests": int(requests), "rate": float(rate), "p50": float(p50) * 1e3, "p99": float(p99) * 1e3}
    return load


def loads(options, folder):
    print(f"\n| nginx under load, {options.connections} connections | requests a second | least – most | p50 | p99 | CPU of the client a request |\n"
          "|---|---:|---:|---:|---:|---:|")

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
        print(f"| {contender} | {middle['rate']:,.0f} | {min(rates):,.0f} – {max(rates):,.0f} | {middle['p50']:,.0f} µs | {middle['p99']:,.0f} µs | {middle['client']:.1f} µs |",
              flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures static_file_server beside nginx, and load_test beside wrk")
    parser.add_argument("build", type=pathlib.Path, help="the build folder, such as build/test, which has the examples")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    missing = [name for name in ("wrk", "nginx") if shutil.which(name) is None]
    if missing:
        print(f"{' and '.join(missing)}: not installed (Debian: wrk, nginx-light)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # nginx's worker is another user
        files(options, pathlib.Path(folder))
        loads(options, pathlib.Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
