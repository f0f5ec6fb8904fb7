#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs the benchmarks of a build folder and prints their table, in Markdown.

    cmake --preset bench && cmake --build --preset bench
    python3 benchmarks/report.py build/bench [PROBLEM...] [--repetitions N]

Medians of the repetitions, and their spread; the ratio is that of the medians, to the hand-written limit of the same
problem, which runs in the same process.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

PROBLEMS = ["await", "recursive", "yield", "spawn_join", "gather", "timers", "mutex", "queue", "sync_ping_pong", "generator",
            "to_thread", "post", "threadsafe_queue", "echo", "memory"]

# Which limit a row is held against, where the name alone does not say it.
LIMITS = {
    "yield_asynchio_with_socket_and_timer": "yield_limit",
    "spawn_join_asynchio_task_group": "spawn_join_limit",
    "mutex_uncontended_guard_asynchio": "mutex_uncontended_limit",
    "sync_ping_pong_event_asynchio": "sync_ping_pong_limit",
    "sync_ping_pong_semaphore_asynchio": "sync_ping_pong_limit",
    "sync_ping_pong_condition_asynchio": "sync_ping_pong_limit",
    "to_thread_asynchio": "to_thread_limit_eventfd",
    "to_thread_asynchio_spinning": "to_thread_limit_spinning",
    "memory_asynchio_waiting_for_future": "memory_limit",
}


def rows(build: pathlib.Path, problem: str, repetitions: int) -> dict:
    program = build / "benchmarks" / problem
    print(f"{problem} ...", file=sys.stderr, flush=True)
    filters = ["."]
    if problem == "memory":  # what a run takes is only seen once in a process
        repetitions = 1
        listed = subprocess.run([program, "--benchmark_list_tests"], check=True, capture_output=True, text=True)
        filters = [f"^{name}$" for name in listed.stdout.split()]
    runs = []
    for each in filters:
        result = subprocess.run(
            [program, f"--benchmark_filter={each}", f"--benchmark_repetitions={repetitions}",
             "--benchmark_min_time=0.1", "--benchmark_format=json"],
            check=True, capture_output=True, text=True)
        runs += json.loads(result.stdout)["benchmarks"]
    found = {}
    for run in runs:
        if run.get("run_type") == "aggregate":
            continue
        name = run["run_name"].removesuffix("/real_time").removesuffix("/iterations:1")
        row = found.setdefault(name, {"values": [], "allocs": 0.0, "unit": "ns"})
        if "bytes_per_task" in run:
            row["values"].append(run["bytes_per_task"])
            row["unit"] = "B"
        else:
            row["values"].append(run["per_op"] * 1e9)
            row["allocs"] = run["allocs"]
    return found


def number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def limit_of(name: str, all_rows: dict):
    base, _, argument = name.partition("/")
    limit = LIMITS.get(base, base.replace("asynchio", "limit"))
    return all_rows.get(limit + ("/" + argument if argument else ""))


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the benchmarks and prints a table")
    parser.add_argument("build", type=pathlib.Path, help="the build folder, such as build/bench")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("problems", nargs="*", default=PROBLEMS, metavar="PROBLEM")
    options = parser.parse_args()
    print("| row | median | least – most | allocations | ratio to the limit |\n|---|---:|---:|---:|---:|")
    for problem in options.problems or PROBLEMS:
        all_rows = rows(options.build, problem, options.repetitions)
        for name, row in all_rows.items():
            median = statistics.median(row["values"])
            ratio = ""
            limit = limit_of(name, all_rows) if "asynchio" in name else None
            if limit is not None and statistics.median(limit["values"]) > 0:
                ratio = f"{median / statistics.median(limit['values']):.2f}"
            allocs = f"{row['allocs']:.3f}" if row["unit"] == "ns" else ""
            print(f"| {name} | {number(median)} {row['unit']} | {number(min(row['values']))} – "
                  f"{number(max(row['values']))} | {allocs} | {ratio} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
