#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Loads the servers of a build folder from outside and prints their table, in Markdown.

    cmake --preset bench && cmake --build --preset bench
    python3 benchmarks/servers/run.py build/bench [--connections N] [--seconds S] [--repetitions N] [--json FILE]

echo: 64 bytes there and back, by the load program beside it. HTTP: `wrk` against the servers and nginx, where both are
installed. Processor time is the server's, user and system, for one request; medians of the repetitions.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
from processes import cpu_seconds  # noqa: E402

CONTENDERS = ["asynchio", "limit", "asio", "libuv", "threads"]
NGINX = """daemon off; worker_processes 1; error_log /dev/null; pid {folder}/pid;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}
"""


def load_echo(build, port, options):
    result = subprocess.run([build / "benchmarks/servers_load", str(port), str(options.connections), str(options.seconds)],
                            check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def load_http(_, port, options, path=""):
    result = subprocess.run(["wrk", "--latency", "-t1", f"-c{options.connections}", f"-d{options.seconds}s",
                             f"http://127.0.0.1:{port}/{path}"], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in result or "Socket errors" in result:
        raise RuntimeError(result)

    def microseconds(percent):
        value, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", result).groups()
        return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]

    requests, = re.search(r"(\d+) requests in", result).groups()
    rate, = re.search(r"Requests/sec:\s+([\d.]+)", result).groups()
    return {"requests": int(requests), "rate": float(rate), "p50": microseconds(50), "p99": microseconds(99)}


def measure(start, load, build, options):
    process, port = start()
    try:
        before = cpu_seconds(process.pid)
        found = load(build, port, options)
        found["cpu"] = (cpu_seconds(process.pid) - before) / found["requests"] * 1e6
        return found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def start_server(program, kind):
    process = subprocess.Popen([program, kind], stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def start_nginx(folder, location='default_type text/plain; return 200 "hello";'):
    import socket
    import time
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, location=location))
    process = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder], stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError("nginx does not answer")


class Table:
    """Printed as it grows, in Markdown; kept for --json."""

    def __init__(self, *head):
        self.head, self.rows = list(head), []
        print("\n| " + " | ".join(head) + " |\n|---" + "|---:" * (len(head) - 1) + "|", flush=True)

    def add(self, *cells):
        self.rows.append(list(cells))
        print("| " + " | ".join(cells) + " |", flush=True)


def by_turns(contenders, run, repetitions):
    """Each contender `repetitions` times, by turns, so that a change of the machine's mood meets all."""
    runs = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, start in contenders.items():
            print(f"{name} ...", file=sys.stderr, flush=True)
            runs[name].append(run(start))
    return runs


def medians(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def spread(values):
    return f"{min(values):,.1f} – {max(values):,.1f}"


def write_json(path, tables):
    if path is not None:
        path.write_text(json.dumps([{"head": each.head, "rows": each.rows} for each in tables], indent=1, ensure_ascii=False) + "\n")


def table(name, contenders, load, options):
    result = Table(f"{name}, {options.connections} connections", "CPU a request", "least – most", "requests a second", "p50", "p99",
                   "ratio to the limit")
    runs = by_turns(contenders, lambda start: measure(start, load, options.build, options), options.repetitions)
    limit = medians(runs["limit"])["cpu"]
    for contender, all_runs in runs.items():
        middle = medians(all_runs)
        result.add(contender, f"{middle['cpu']:.2f} µs", spread([run["cpu"] for run in all_runs]), f"{middle['rate']:,.0f}",
                   f"{middle['p50']:,.0f} µs", f"{middle['p99']:,.0f} µs", f"{middle['cpu'] / limit:.2f}")
    return result


def arguments(description, build, **defaults):
    """What both scripts take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("build", type=pathlib.Path, help=build)
    for name in ("connections", "seconds", "repetitions"):
        parser.add_argument(f"--{name}", type=int, default=defaults[name])
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the tables there, too")
    return parser.parse_args()


def main() -> int:
    options = arguments("Loads the servers of a build folder and prints a table", "the build folder, such as build/bench",
                        connections=100, seconds=3, repetitions=3)

    def installed(kind):
        found = {}
        for contender in CONTENDERS:
            program = options.build / f"benchmarks/servers_{contender}"
            if program.exists():
                found[contender] = lambda program=program: start_server(program, kind)
        return found

    tables = [table("echo", installed("echo"), load_echo, options)]
    write_json(options.json, tables)
    if shutil.which("wrk") is None:
        print("\nHTTP was not measured: wrk is not installed.")
        return 0
    contenders = installed("http")
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("nginx"):
            contenders["nginx"] = lambda: start_nginx(pathlib.Path(folder))
        tables.append(table("HTTP keep-alive", contenders, load_http, options))
    write_json(options.json, tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
