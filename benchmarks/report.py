#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Measures, and writes benchmarks/README.md and its plots from what was measured.

    cmake --preset bench && cmake --build --preset bench
    python3 benchmarks/report.py run build/bench      measures, into benchmarks/results.json: some fifteen minutes
    python3 benchmarks/report.py write                README.md and plots/*.svg from it, without measuring
    python3 benchmarks/report.py show build/bench [PROBLEM...]     measures some problems and prints their table

`run` skips what it does not find, with a message, and keeps what was measured before of the sections it is not asked
for: --only rows,python. Medians of the repetitions, which are taken by turns, and their spread.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results.json"

PROBLEMS = ["await", "recursive", "yield", "spawn_join", "gather", "timers", "mutex", "queue", "sync_ping_pong", "waiters", "generator",
            "to_thread", "post", "threadsafe_queue", "echo", "memory"]
TITLES = {
    "await": "Await a child that returns at once",
    "recursive": "Recursive await, for each call",
    "yield": "Switch to another task",
    "spawn_join": "Start a task and wait for its end",
    "gather": "Gather, of ten at once and of a range for each",
    "timers": "Sleep, and schedule and cancel a timer",
    "mutex": "Lock and unlock",
    "queue": "An item through a queue, by its capacity",
    "sync_ping_pong": "Two tasks that wake each other",
    "waiters": "One more who waits for an event, or for a mutex to be passed on",
    "generator": "An item of a generator",
    "to_thread": "A blocking call in a worker thread, there and back",
    "post": "A callback posted from another thread",
    "threadsafe_queue": "An item between threads and loops, by the queue's capacity",
    "echo": "TCP echo of 64 bytes, client and server in one loop, by connections",
    "memory": "Bytes of a suspended task",
}
PEERS = {"asio": "Asio", "libuv": "libuv", "cpython": "CPython", "uvloop": "uvloop", "nginx": "nginx"}

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

# The rows that have an aim: problem, row, what it is, the aim as a multiple of the limit or in the row's unit, and why
# it is missed where it is.
KEEPS = ("the limit keeps no result or exception for a handle, no list of tasks, no request to cancel and no line. "
         "`support/limit_kept.hpp` is written by hand for the same row, keeps these and nothing else: {kept}. By callgrind a task takes "
         "246 instructions (the limit 52, with these 117), a child of ten gathered ones 261 (77, 141), one of a range 232 (96, 164)")
AIMS = [
    ("await", "await_asynchio", "await a child that returns at once", 2.0, "×", ""),
    ("recursive", "recursive_asynchio", "recursive await, a call", 1.7, "×", ""),
    ("yield", "yield_asynchio/1", "yield, one task", 3.0, "×", ""),
    ("yield", "yield_asynchio/1000", "yield, 1,000 tasks", 2.5, "×", ""),
    ("yield", "yield_asynchio_with_socket_and_timer/1", "yield with a socket and a timer, one task", 10, "ns", ""),
    ("yield", "yield_asynchio_with_socket_and_timer/1000", "yield with a socket and a timer, 1,000 tasks", 5, "ns",
     "a switch takes as long without them: what the socket and the timer add is at the edge of what can be measured"),
    ("spawn_join", "spawn_join_asynchio/1000", "start and join, 1,000 at once", 2.0, "×", KEEPS),
    ("spawn_join", "spawn_join_asynchio/1000000", "start and join, a million at once", 2.0, "×", KEEPS),
    ("gather", "gather_10_asynchio", "gather of ten", 1.7, "×", KEEPS),
    ("gather", "gather_range_asynchio/10000", "gather of a range of 10,000, for each", 1.7, "×", KEEPS),
    ("timers", "sleep_asynchio/100000", "100,000 sleeps in 50 ms, for each", 1.3, "×", ""),
    ("timers", "timer_cancel_asynchio", "schedule and cancel a timer", 1.5, "×", "the limit keeps no handle for its timer"),
    ("queue", "queue_asynchio/128", "queue, capacity 128, an item", 10, "ns", ""),
    ("mutex", "mutex_uncontended_asynchio", "uncontended mutex", 2, "ns", ""),
    ("to_thread", "to_thread_asynchio", "to_thread, there and back", 1.1, "×", ""),
    ("post", "post_asynchio", "post from a thread", 1.1, "×", ""),
    ("echo", "echo_asynchio/1", "TCP echo in one loop, one connection", 1.1, "×", ""),
    ("echo", "echo_asynchio/100", "TCP echo in one loop, 100 connections", 1.1, "×", ""),
    ("memory", "memory_asynchio_waiting_for_future", "a suspended task", 192, "B", "its block has 192; the rest is the pool's part of a page"),
]
SERVER_AIMS = [
    ("echo, 100 connections", "echo server, 100 connections from outside, CPU", 1.05, "limit", ""),
    ("HTTP keep-alive, 100 connections", "HTTP server under wrk, CPU", 1.0, "nginx", ""),
]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- measuring --------------------------------------------------------------------------------------------------------


def rows_of(build: pathlib.Path, problem: str, repetitions: int) -> dict:
    """name: values of one operation, allocations for one, unit."""
    program = build / "benchmarks" / problem
    say(f"{problem} ...")
    listed = subprocess.run([program, "--benchmark_list_tests"], check=True, capture_output=True, text=True).stdout.split()
    filters = ["."]
    if problem == "memory":  # what a run takes is only seen once in a process
        repetitions = 1
        filters = [f"^{name}$" for name in listed]
    runs = []
    for each in filters:
        result = subprocess.run(
            [program, f"--benchmark_filter={each}", f"--benchmark_repetitions={repetitions}",
             "--benchmark_enable_random_interleaving=true", "--benchmark_min_time=0.1", "--benchmark_format=json"],
            check=True, capture_output=True, text=True)
        runs += json.loads(result.stdout)["benchmarks"]
    found = {}
    for run in sorted(runs, key=lambda run: listed.index(run["run_name"])):
        if run.get("run_type") == "aggregate" or run.get("error_occurred"):
            if run.get("error_occurred"):
                say(f"{run['run_name']}: {run['error_message']}")
            continue
        name = run["run_name"].removesuffix("/real_time").removesuffix("/iterations:1")
        row = found.setdefault(name, {"values": [], "allocations": 0.0, "unit": "ns"})
        if "bytes_per_task" in run:
            row["values"].append(run["bytes_per_task"])
            row["unit"] = "B"
        else:
            row["values"].append(run["per_op"] * 1e9)
            row["allocations"] = run["allocs"]
    return found


# Rows whose system calls are counted, with all of their contenders.
CALLS = [("yield", "yield_asynchio/1000"), ("yield", "yield_asynchio_with_socket_and_timer/1000"), ("echo", "echo_asynchio/1"),
         ("echo", "echo_asynchio/100"), ("post", "post_asynchio"), ("to_thread", "to_thread_asynchio")]


def system_calls(build: pathlib.Path) -> dict:
    """For one operation, of the whole process: strace counts them."""
    if shutil.which("strace") is None:
        say("System calls were not counted: strace is not installed (Debian: strace)")
        return {}
    found = {}
    for problem, ours in CALLS:
        program = build / "benchmarks" / problem
        names = subprocess.run([program, "--benchmark_list_tests"], check=True, capture_output=True, text=True).stdout.split()
        wanted = [ours.replace("asynchio", each) for each in ("asynchio", "limit", "asio", "libuv", "threads")]
        for name in names:
            plain = name.removesuffix("/real_time")
            if plain not in wanted and plain != LIMITS.get(ours):
                continue
            say(f"system calls of {plain} ...")
            run = subprocess.run(["strace", "-f", "-c", "-o", "/dev/stderr", program, f"--benchmark_filter=^{name}$",
                                  "--benchmark_min_time=0.05", "--benchmark_format=json"], check=True, capture_output=True, text=True)
            total = re.search(r"([\d]+)(?:\s+\d+)?\s+total", run.stderr)
            found[plain] = int(total[1]) / json.loads(run.stdout)["benchmarks"][-1]["operations_so_far"]
    return found


def output_of(*command) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return (run.stdout + run.stderr).strip()


def machine(build: pathlib.Path) -> dict:
    def first(pattern, text, default=""):
        found = re.search(pattern, text)
        return found[1].strip() if found else default

    cpu = first(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text(), platform.machine())
    system = first(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text(), platform.system())
    compiler = first(r"CMAKE_CXX_COMPILER:\w+=(.*)", (build / "CMakeCache.txt").read_text(), "c++")
    packages = {}
    for title, package in (("Asio", "libasio-dev"), ("libuv", "libuv1-dev"), ("Google Benchmark", "libbenchmark-dev"),
                           ("nginx", "nginx-light"), ("wrk", "wrk"), ("CPython", "python3"), ("uvloop", "python3-uvloop")):
        version = output_of("dpkg-query", "-W", "-f", "${Version}", package)
        if version and "no packages" not in version:
            packages[title] = first(r"^(?:\d+:)?([\d.]+)", version)
    return {"cpu": cpu, "cores": os.cpu_count(), "system": system, "kernel": platform.release(),
            "compiler": output_of(compiler, "--version").splitlines()[0], "packages": packages,
            "date": datetime.date.today().isoformat()}


def script(*command) -> dict:
    """What a script of ours writes with --json."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "out.json"
        subprocess.run([sys.executable, *command, "--json", file], check=True, stdout=subprocess.DEVNULL)
        return json.loads(file.read_text())


def python_rows(repetitions: int) -> dict:
    found = {}
    for loop in ("asyncio", "uvloop"):
        say(f"{loop} ...")
        # Debian's interpreter has Debian's uvloop.
        run = subprocess.run(["/usr/bin/python3", HERE / "python/rows.py", "--loop", loop, "--repetitions", str(repetitions)],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if run.returncode != 0:
            say(f"{loop} was not measured")
            continue
        result = json.loads(run.stdout)
        found[result["contender"]] = result
    return found


def measure(options) -> int:
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}

    def section(name, make):
        if options.only and name not in options.only:
            return
        kept[name] = make()
        RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")

    section("machine", lambda: machine(options.build))
    section("rows", lambda: {problem: rows_of(options.build, problem, options.repetitions)
                             if options.problems is None or problem in options.problems else kept["rows"][problem] for problem in PROBLEMS})
    section("calls", lambda: system_calls(options.build))
    section("python", lambda: python_rows(options.repetitions))
    section("newcomer", lambda: script(HERE / "newcomer/run.py", options.build))
    section("neighbours", lambda: script(HERE / "neighbours/run.py", options.build))
    section("servers", lambda: script(HERE / "servers/run.py", options.build, "--repetitions", str(options.repetitions)))
    if options.examples is not None:
        section("programs", lambda: script(HERE / "servers/programs.py", options.examples))
    section("sizes", lambda: json.loads(subprocess.run([sys.executable, HERE / "support/sizes.py"], check=True,
                                                       stdout=subprocess.PIPE, text=True).stdout))
    say(f"{RESULTS} written; report.py write makes the report of it")
    return 0


# --- reading the results ----------------------------------------------------------------------------------------------


def number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def amount(value: float, unit: str) -> str:
    if unit == "ns" and value >= 10_000:
        return f"{number(value / 1000)} µs"
    return f"{number(value)} {unit}"


def median(row: dict) -> float:
    return statistics.median(row["values"])


def limit_of(name: str, all_rows: dict):
    base, _, argument = name.partition("/")
    limit = LIMITS.get(base, base.replace("asynchio", "limit"))
    return all_rows.get(limit + ("/" + argument if argument else ""))


def ratio_to_limit(name: str, all_rows: dict):
    limit = limit_of(name, all_rows) if "asynchio" in name else None
    if limit is None or median(limit) <= 0:
        return None
    return median(all_rows[name]) / median(limit)


def best_peer(name: str, all_rows: dict):
    """The fastest of the peers with the same row: its title and its median."""
    found = []
    for peer, title in PEERS.items():
        row = all_rows.get(name.replace("asynchio", peer))
        if row is not None:
            found.append((median(row), title))
    return min(found) if found else None


def with_python(results: dict) -> dict:
    """The rows by problem, those of CPython and uvloop among them."""
    order = list(COLOURS)
    problems = {problem: dict(sorted(found.items(), key=lambda row: order.index(contender_of(row[0]))))
                for problem, found in results["rows"].items()}
    for contender in results.get("python", {}).values():
        for name, row in contender["rows"].items():
            for found in problems.values():
                for peer in ("cpython", "uvloop"):
                    if name.replace(peer, "asynchio") in found:
                        found[name] = row
    return problems


# --- writing ----------------------------------------------------------------------------------------------------------


def table_of(all_rows: dict) -> str:
    lines = ["| row | median | least – most | allocations | ratio to the limit |", "|---|---:|---:|---:|---:|"]
    for name, row in all_rows.items():
        ratio = ratio_to_limit(name, all_rows)
        allocations = f"{row['allocations']:.3f}" if row["unit"] == "ns" and "allocations" in row else ""
        lines.append(f"| {name} | {amount(median(row), row['unit'])} | {amount(min(row['values']), row['unit'])} – "
                     f"{amount(max(row['values']), row['unit'])} | {allocations} | {f'{ratio:.2f}' if ratio else ''} |")
    return "\n".join(lines)


def given_table(table: dict) -> str:
    lines = ["| " + " | ".join(table["head"]) + " |", "|---" + "|---:" * (len(table["head"]) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in table["rows"]])


class Aim:
    """A line of the one table."""

    def __init__(self, title, ours, limit, peer, aim, unit, reason, kept=None):
        self.title, self.unit, self.reason = title, unit, reason
        self.ours, self.limit, self.peer, self.kept = ours, limit, peer, kept
        self.to_limit = ours / limit if limit else None
        self.to_kept = ours / kept if kept else None
        self.to_peer = ours / peer[0] if peer else None
        if unit == "×" and self.to_limit:
            self.met = self.to_limit <= aim + 0.005
        else:
            self.met = (round(ours) if unit == "B" else ours) <= aim  # bytes are whole ones
        self.aim = f"{aim:g} ×" if unit == "×" else f"{aim:g} {unit}"
        self.in_unit = "ns" if unit == "×" else unit

    def line(self) -> str:
        unit = self.in_unit
        peer = f"{self.peer[1]} {amount(self.peer[0], unit)}" if self.peer else ""
        return (f"| {self.title} | {amount(self.limit, unit) if self.limit else ''} | **{amount(self.ours, unit)}** | {peer} | "
                f"{f'{self.to_limit:.2f}' if self.to_limit else ''} | {self.aim} | {f'{self.to_peer:.2f}' if self.to_peer else ''} |")


def aims(results: dict, problems: dict) -> list:
    found = []
    for problem, name, title, aim, unit, reason in AIMS:
        all_rows = problems[problem]
        limit = limit_of(name, all_rows)
        kept = all_rows.get(name.replace("asynchio", "limit_kept"))
        found.append(Aim(title, median(all_rows[name]), median(limit) if limit else None, best_peer(name, all_rows), aim, unit,
                         reason, median(kept) if kept else None))
    for head, title, aim, against, reason in SERVER_AIMS:
        for table in results.get("servers", []):
            cells = {row[0]: float(row[1].split()[0]) * 1000 for row in table["rows"]}
            if table["head"][0] != head or against not in cells:
                continue
            peers = [(value, PEERS[name]) for name, value in cells.items() if name in PEERS]
            each = Aim(title, cells["asynchio"], cells["limit"], min(peers) if peers else None, aim, "×", reason)
            if against != "limit":
                each.met, each.aim = cells["asynchio"] <= aim * cells[against], f"≤ {against}"
            found.append(each)
    return found


def bottom_line(all_aims: list, results: dict, problems: dict) -> str:
    missed = [each for each in all_aims if not each.met]
    behind = [each for each in all_aims if each.to_peer and each.to_peer > 1.0]
    ahead = [each.to_peer for each in all_aims if each.to_peer and each.to_peer <= 1.0]

    def value(problem, name):
        return median(problems[problem][name])

    def listed(some):
        return "; ".join(some)

    http = next((t for t in results.get("servers", []) if t["head"][0].startswith("HTTP")), None)
    lines = []
    lines.append("- **Behind the aim**: " + (listed(
        f"{each.title}, {each.to_limit:.2f} × the limit (aim {each.aim}" + (
            f"; {each.to_kept:.2f} × one that keeps what a task keeps)" if each.to_kept else ")") if each.unit == "×" else
        f"{each.title}, {amount(each.ours, each.in_unit)} (aim {each.aim})" for each in missed) or "no row") + ".")
    lines.append("- **Behind the best peer that runs here**: " + (listed(
        f"{each.title}, {each.to_peer:.2f} × of {each.peer[1]}" for each in behind) or "no row") +
        f". The other {len(ahead)} rows that a peer has are ahead, at {statistics.median(ahead):.2f} × of the best in the median.")
    lines.append(f"- **Threads**: a switch takes {number(value('yield', 'yield_asynchio/1'))} ns against "
                 f"{amount(value('yield', 'yield_two_threads_condition_variable'), 'ns')} between two threads, a task "
                 f"{number(value('spawn_join', 'spawn_join_asynchio/1000'))} ns against "
                 f"{amount(value('spawn_join', 'spawn_join_std_thread'), 'ns')} for a std::thread. Where threads must meet, a "
                 "threadsafe_queue costs what a mutex and a condition variable cost.")
    network = (f"- **Network**: a TCP echo in one loop takes {ratio_to_limit('echo_asynchio/1', problems['echo']):.2f} × of raw epoll, "
               f"{ratio_to_limit('echo_asynchio/100', problems['echo']):.2f} × with a hundred connections")
    if http is not None:
        cells = {row[0]: row[1] for row in http["rows"]}
        network += f"; an HTTP request {cells['asynchio']} of the server's processor time" + (
            f" (nginx {cells['nginx']})" if "nginx" in cells else "")
    lines.append(network + ".")
    lines.append("- **Memory**: nothing is allocated per await, yield, sleep, wake-up, lock, item, task or gather once the pool is warm "
                 "(a gathered range takes the vector of its results); a suspended task is "
                 f"{number(value('memory', 'memory_asynchio_waiting_for_future'))} bytes resident.")
    return "\n".join(lines)


INK, GRID = "#7f7f7f", "#7f7f7f"
COLOURS = {"asynchio": "#d9822b", "limit": "#8a8a8a", "asio": "#4c8fd6", "libuv": "#3fa48a", "cpython": "#b56fc4", "uvloop": "#d0668c",
           "threads": "#9c8b5a"}


def contender_of(name: str) -> str:
    for each in ("asynchio", "limit", "asio", "libuv", "cpython", "uvloop"):
        if each in name:
            return each
    return "threads"


def figure(width, height):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plot
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "svg.hashsalt": "asynchio",
                                "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
                                "axes.edgecolor": GRID})
    made, axes = plot.subplots(figsize=(width, height))
    made.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return made, axes


def save(made, name: str) -> str:
    import matplotlib.pyplot as plot
    (HERE / "plots").mkdir(exist_ok=True)
    made.savefig(HERE / "plots" / f"{name}.svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    plot.close(made)
    return f"plots/{name}.svg"


def bars(title: str, named: list, unit: str, name: str) -> str:
    """`named`: (label, value, colour); a logarithmic axis."""
    made, axes = figure(8, 0.5 + 0.26 * len(named))
    labels, values, colours = zip(*named)
    axes.barh(range(len(named)), values, color=colours, height=0.7)
    axes.set_yticks(range(len(named)), labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    low, high = min(values), max(values)
    axes.set_xlim(low / 2.5, high * 4)
    for i, value in enumerate(values):
        axes.text(value * 1.08, i, amount(value, unit), va="center", fontsize=9, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"{title} ({unit})", loc="left", fontsize=11, color=INK)
    return save(made, name)


def lines_plot(title: str, series: dict, unit: str, name: str) -> str:
    made, axes = figure(8, 3.6)
    for label, (points, colour, style) in series.items():
        axes.plot(*zip(*sorted(points)), marker="o", markersize=4, color=colour, linestyle=style, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for numbers in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        numbers(lambda value, _: f"{value:,.0f}" if f"{value:.0e}"[0] in "125" else "")
    axes.grid(True, which="major", color=GRID, alpha=0.25)
    axes.set_title(f"{title} ({unit})", loc="left", fontsize=11, color=INK)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return save(made, name)


def plot_problem(problem: str, all_rows: dict) -> str:
    named = sorted(((name, median(row), COLOURS[contender_of(name)]) for name, row in all_rows.items() if median(row) > 0),
                   key=lambda each: each[1])
    unit = next(iter(all_rows.values()))["unit"]
    return bars(TITLES[problem], named, unit, problem)


GROWTH = [
    ("growth_tasks", "What one more task costs, by how many there are",
     ["yield_asynchio", "spawn_join_asynchio", "gather_range_asynchio", "yield_limit", "spawn_join_limit", "gather_range_limit"]),
    ("growth_waiting", "What one more timer or waiter costs, by how many there are",
     ["sleep_asynchio", "timer_cancel_pending_asynchio", "waiters_asynchio_event", "waiters_asynchio_mutex",
      "timer_cancel_pending_limit", "waiters_limit_event"]),
    ("growth_connections", "An echo, by how many connections there are", ["echo_asynchio", "echo_limit", "echo_asio", "echo_libuv"]),
]
SHADES = ["#d9822b", "#4c8fd6", "#3fa48a", "#b56fc4", "#9c8b5a", "#d0668c"]


def growth(problems: dict) -> str:
    parts = []
    every = {name: row for found in problems.values() for name, row in found.items()}
    for file, title, bases in GROWTH:
        series = {}
        for base in bases:
            points = [(int(name.rpartition("/")[2]), median(row)) for name, row in every.items()
                      if name.rpartition("/")[0] == base and name.rpartition("/")[2].isdigit()]
            if len(points) > 1:
                colour = COLOURS[contender_of(base)] if len(set(map(contender_of, bases))) == len(bases) else SHADES[len(series)]
                series[base] = (points, colour, "--" if "limit" in base else "-")
        if not series:
            continue
        path = lines_plot(title, series, "ns", file)
        counts = sorted({count for points, _, _ in series.values() for count, _ in points})
        lines = [f"| {title.lower()} | " + " | ".join(f"{count:,}" for count in counts) + " |", "|---" + "|---:" * len(counts) + "|"]
        for base, (points, _, _) in series.items():
            by_count = dict(points)
            lines.append(f"| {base} | " + " | ".join(amount(by_count[c], "ns") if c in by_count else "" for c in counts) + " |")
        parts.append(f"![{title}]({path})\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def newcomer(results: dict) -> str:
    measured = results["newcomer"]
    parts = []
    jobs = list(dict.fromkeys(row["job"] for row in measured["newcomer"]))
    named = []
    for job in jobs:
        of_job = [row for row in measured["newcomer"] if row["job"] == job]
        lines = [f"| {job} | time | processor time | memory | context switches: given up | taken away |", "|---|---:|---:|---:|---:|---:|"]
        for row in of_job:
            lines.append(f"| {row['way']} | {row['wall']:.3f} s | {row['cpu']:.3f} s | {row['memory_kb'] / 1024:.1f} MiB | "
                         f"{row['voluntary']:,.0f} | {row['involuntary']:,.0f} |")
            way = row["way"]
            colour = COLOURS["limit" if way.startswith("one") else "threads" if way.startswith("a thread") else "asynchio"]
            named.append((f"{job}: {way}", row["wall"] * 1000, colour))
        parts.append("\n".join(lines))
    path = bars("Three jobs, done in each way: time", named, "ms", "newcomer")
    latency = ["| how late a tick of 1 ms is | p50 | p99 | most |", "|---|---:|---:|---:|"]
    for row in measured["latency"]:
        latency.append(f"| {row['case']} | {row['p50_us']:,.0f} µs | {row['p99_us']:,.0f} µs | {row['max_us']:,.0f} µs |")
    return f"![Three jobs]({path})\n\n" + "\n\n".join(parts) + "\n\n" + "\n".join(latency)


def neighbours(results: dict) -> str:
    sys.path.insert(0, str(HERE / "neighbours"))
    from run import table_of as table_of_job
    rows = results["neighbours"]
    return "\n\n".join(table_of_job([row for row in rows if row["job"] == job]) for job in dict.fromkeys(row["job"] for row in rows))


def calls(results: dict) -> str:
    lines = ["| row | system calls for one |", "|---|---:|"]
    return "\n".join(lines + [f"| {name} | {value:.3f} |" for name, value in results["calls"].items()])


def sizes(results: dict) -> str:
    lines = ["| what | compiler | seconds to compile at -O0 | MB allocated meanwhile | object at -O2 | program, stripped |",
             "|---|---|---:|---:|---:|---:|"]

    def kib(value):
        return f"{value / 1024:,.1f} KiB" if value else ""
    for row in results["sizes"]["sizes"]:
        seconds = f"{row['seconds']:.2f}" if row.get("seconds") is not None else ""
        allocated = f"{row['allocated_mb']:,.0f}" if "allocated_mb" in row else ""
        lines.append(f"| {row['what']} | {row['compiler']} | {seconds} | {allocated} | {kib(row.get('object_bytes'))} | {kib(row.get('program_bytes'))} |")
    return "\n".join(lines)


TEMPLATE = HERE / "README.in.md"


def write(_) -> int:
    if not RESULTS.exists():
        sys.exit(f"{RESULTS} is not there: report.py run BUILD measures it")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        sys.exit("matplotlib is not installed (Debian: python3-matplotlib, for /usr/bin/python3)")
    results = json.loads(RESULTS.read_text())
    problems = with_python(results)
    all_aims = aims(results, problems)
    where = results["machine"]
    one = ["| row | limit | ours | best peer here | ratio to the limit | aim | ratio to the peer |", "|---|---:|---:|---:|---:|---:|---:|"]
    one += [each.line() for each in sorted(all_aims, key=lambda each: each.met)]
    by_reason = {}
    for each in all_aims:
        if not each.met and each.reason:
            by_reason.setdefault(each.reason, []).append(each)
    reasons = []
    for reason, some in by_reason.items():
        kept = "; ".join(f"{each.title} {amount(each.kept, 'ns')}, of which ours is {each.to_kept:.2f} ×" for each in some if each.kept)
        reasons.append(f"- {'; '.join(each.title for each in some)}: {reason.format(kept=kept)}.")
    parts = {
        "bottom": bottom_line(all_aims, results, problems),
        "machine": (f"{where['cores']} cores of {where['cpu']}, {where['system']}, Linux {where['kernel']}; {where['compiler']}, "
                    "`-O3 -DNDEBUG`; " + ", ".join(f"{name} {version}" for name, version in where["packages"].items()) +
                    f". Measured on {where['date']}."),
        "one": "\n".join(one),
        "reasons": "\n".join(reasons),
        "problems": "\n\n".join(f"### {TITLES[problem]}\n\n![{TITLES[problem]}]({plot_problem(problem, problems[problem])})\n\n"
                                f"{table_of(problems[problem])}" for problem in PROBLEMS),
        "growth": growth(problems),
        "calls": calls(results),
        "newcomer": newcomer(results),
        "neighbours": neighbours(results),
        "servers": "\n\n".join(given_table(each) for each in results["servers"]),
        "programs": "\n\n".join(given_table(each) for each in results["programs"]),
        "sizes": sizes(results),
    }
    text = TEMPLATE.read_text()
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    left = re.search(r"\{\{\w+\}\}", text)
    if left:
        sys.exit(f"{TEMPLATE.name}: nothing is called {left[0]}")
    (HERE / "README.md").write_text(text)
    say(f"{HERE / 'README.md'} written")
    return 0


def show(options) -> int:
    for problem in options.problems or PROBLEMS:
        print(table_of(rows_of(options.build, problem, options.repetitions)), flush=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures, and writes benchmarks/README.md")
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|write|show")
    run = commands.add_parser("run", help="measure everything")
    run.add_argument("build", type=pathlib.Path, help="the build folder, such as build/bench")
    run.add_argument("--examples", type=pathlib.Path, metavar="BUILD", help="a build folder with the examples, for those beside nginx and wrk")
    run.add_argument("--only", type=lambda text: text.split(","), metavar="SECTION,...",
                     help="machine, rows, calls, python, newcomer, neighbours, servers, programs, sizes")
    run.add_argument("--problems", type=lambda text: text.split(","), metavar="PROBLEM,...", help="of the rows only these anew")
    run.add_argument("--repetitions", type=int, default=5)
    run.set_defaults(call=measure)
    commands.add_parser("write", help="write the report from what was measured").set_defaults(call=write)
    some = commands.add_parser("show", help="measure some problems and print their table")
    some.add_argument("build", type=pathlib.Path)
    some.add_argument("problems", nargs="*", metavar="PROBLEM")
    some.add_argument("--repetitions", type=int, default=5)
    some.set_defaults(call=show)
    options = parser.parse_args()
    return options.call(options)


if __name__ == "__main__":
    sys.exit(main())
