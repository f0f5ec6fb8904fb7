#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Does the three jobs in each way, each in a process of its own, and prints a table for each, in Markdown; medians.

    python3 benchmarks/newcomer/run.py build/bench [--repetitions N] [--json FILE]
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

WAYS = {
    "sequential": "one after another",
    "threads": "threads",
    "asynchio": "asynchio",
    "to_thread": "asynchio with to_thread",
    "wide": "asynchio with to_thread, 50 threads in its pool",
}
JOBS = {
    "waits": ("1,000 waits of 10 ms", "a thread each", list(WAYS)),
    "blocking": ("200 calls that block for 5 ms", "a thread each", list(WAYS)),
    "processor": ("64 pieces of arithmetic", "a thread per core", ["sequential", "threads", "asynchio", "to_thread"]),
}
CASES = {
    "idle": "while nothing else goes on",
    "worker": "while a worker thread does arithmetic",
    "blocked": "while somebody blocks the loop for 50 ms, four times a second",
}


def once(program: pathlib.Path, *words: str) -> dict:
    print(" ".join(words) + " ...", file=sys.stderr, flush=True)
    return json.loads(subprocess.run([program, *words], check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares ways to do three jobs")
    parser.add_argument("build", type=pathlib.Path, help="the build folder, such as build/bench")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    program = options.build / "benchmarks/newcomer"
    rows, latency = [], []
    for job, (title, of_threads, ways) in JOBS.items():
        print(f"\n| {title} | time | processor time | memory | context switches: given up | taken away |\n|---|---:|---:|---:|---:|---:|")
        for way in ways:
            runs = [once(program, job, way) for _ in range(options.repetitions)]
            row = {key: statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "memory_kb", "voluntary", "involuntary")}
            row["job"], row["way"] = title, WAYS[way] if way != "threads" else of_threads
            rows.append(row)
            print(f"| {row['way']} | {row['wall']:.3f} s | {row['cpu']:.3f} s | {row['memory_kb'] / 1024:.1f} MiB | "
                  f"{row['voluntary']:,.0f} | {row['involuntary']:,.0f} |", flush=True)
    print("\n| how late a tick of 1 ms is | p50 | p99 | most |\n|---|---:|---:|---:|")
    for case, title in CASES.items():
        runs = [once(program, "latency", case) for _ in range(options.repetitions)]
        row = {key: statistics.median(run[key] for run in runs) for key in ("p50_us", "p99_us", "max_us")}
        row["case"] = title
        latency.append(row)
        print(f"| {title} | {row['p50_us']:,.0f} µs | {row['p99_us']:,.0f} µs | {row['max_us']:,.0f} µs |", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps({"newcomer": rows, "latency": latency}, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
