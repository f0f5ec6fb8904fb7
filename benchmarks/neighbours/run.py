#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Measures adapters, files and parallel_for beside the same by hand and beside others, and prints a table for each job.

    cmake --preset bench && cmake --build --preset bench
    python3 benchmarks/neighbours/run.py build/bench [--rounds N] [--only JOB...] [--json FILE]

The contenders of a job take turns, each in a process of its own; ratios are medians of the ratios of the rounds, so that
what slows the whole machine counts little. Processor time is that of the contender alone, without its server.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "examples"))
sys.path.insert(0, str(HERE.parent / "support"))
from processes import cpu_seconds  # noqa: E402
from server_process import POSTGRES, free_port, nginx, postgres, wait_until_listening  # noqa: E402

OURS = "asynchio"


class Missing(Exception):
    """What a contender needs is not installed."""


def said(*command):
    """What a program prints as JSON."""
    return json.loads(subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout)


def watched(operations, *command):
    """The time and the processor time of a program that does not tell them."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"operations": operations, "wall": wall,
            "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


@contextlib.contextmanager
def running(*command, **options):
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextlib.contextmanager
def redis():
    """A Redis of our own. Yields its socket."""
    if not shutil.which("redis-server"):
        raise Missing("redis-server")
    with tempfile.TemporaryDirectory() as folder:
        socket = folder + "/socket"
        with running("redis-server", "--port", "0", "--unixsocket", socket, "--save", ""):
            while not os.path.exists(socket):
                time.sleep(0.05)
            subprocess.run(["redis-cli", "-s", socket, "set", "key", "abc"], check=True, stdout=subprocess.DEVNULL)
            yield socket


@contextlib.contextmanager
def certificate():
    """Yields the files of a certificate for localhost and of its key."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
                        "-keyout", folder + "/key", "-out", folder + "/certificate", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
        yield folder + "/certificate", folder + "/key"


def jobs(programs):
    """Returns generators of jobs by name. A job is its title, the unit of its operations, its contenders (titles and functions
    that measure once), and the title of the one that is by hand."""

    def program(name):
        found = programs / name
        if not found.exists():
            raise Missing(f"{name} was not built")
        return found

    def tls(job, unit, count, how):
        with certificate() as files:
            tool = program("neighbours_tls")
            ways = {"OpenSSL by hand": "by_hand", OURS: "asynchio", "Asio": "asio"}
            yield (f"TLS, {how}", unit,
                   {title: lambda way=way: said(tool, job, way, *files, count) for title, way in ways.items()}, "OpenSSL by hand")

    def tls_servers():
        tool = program("neighbours_tls")
        if not shutil.which("nginx") or not shutil.which("ab") or not shutil.which("curl"):
            raise Missing("nginx, ab and curl")
        with certificate() as (chain, key), contextlib.ExitStack() as servers:
            folder, of_nginx = servers.enter_context(nginx("", "location / { root {folder}; } error_page 404 =200 /small; "
                                                               f"}} server {{ listen 127.0.0.1:{(port := free_port())} ssl; root {{folder}}; "
                                                               f"ssl_certificate {chain}; ssl_certificate_key {key};"))
            (folder / "large").write_bytes(b"x" * 104857600)
            (folder / "small").write_text("hello")
            master = int((folder / "pid").read_text())
            ours = free_port()
            served = servers.enter_context(running(tool, "serve", ours, chain, key))
            wait_until_listening(ours)

            def load(pid, to, large):
                before, begin = cpu_seconds(pid), time.perf_counter()
                if large:
                    subprocess.run(["curl", "-sk", "-o", "/dev/null", f"https://127.0.0.1:{to}/large"], check=True)
                else:
                    subprocess.run(["ab", "-q", "-n", "2000", "-c", "20", f"https://127.0.0.1:{to}/small"], check=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                return {"operations": 100 if large else 2000, "wall": time.perf_counter() - begin, "cpu": cpu_seconds(pid) - before}

            both = {"nginx": (master, port), OURS: (served.pid, ours)}
            for large, unit, how in ((True, "MiB", "a file of 100 MiB for curl, the server's processor time"),
                                     (False, "connection", "connections of ab, 20 at once, the server's processor time")):
                yield (f"TLS server, {how}", unit,
                       {title: lambda where=where, large=large: load(*where, large) for title, where in both.items()}, "nginx")

    def queries():
        if not POSTGRES:
            raise Missing("postgresql")
        with postgres() as folder:
            tool, to, count = program("neighbours_postgres"), f"host={folder} user=tester dbname=postgres", 20_000
            client = ["/usr/bin/python3", HERE / "asyncpg_client.py", folder]
            has_asyncpg = subprocess.run(["/usr/bin/python3", "-c", "import asyncpg"], stderr=subprocess.DEVNULL).returncode == 0
            for how, hand, ways, python in (
                    ("20 at once", "libpq by hand, pipeline mode",
                     {"libpq by hand, pipeline mode": "pipeline", f"{OURS}, one connection": "asynchio-20",
                      f"{OURS}, a pool of 10": "asynchio-pool", "libpq, 20 threads": "threads"}, (20, 10)),
                    ("one at a time", "libpq by hand", {"libpq by hand": "one", OURS: "asynchio-1", "libpq, blocking": "thread"}, (1, 1))):
                contenders = {title: lambda way=way: said(tool, way, to, count) for title, way in ways.items()}
                if has_asyncpg:
                    contenders[f"asyncpg, {python[1]} connection{'s' if python[1] > 1 else ''}"] = (
                        lambda python=python: said(*client, *python, count))
                yield f"PostgreSQL, small queries, {how}", "query", contenders, hand

    def sqlite():
        tool = program("neighbours_sqlite")
        ways = {"direct calls": "direct", "direct calls in another thread": "thread", f"{OURS}, one task": "asynchio", f"{OURS}, 20 tasks": "asynchio-20"}
        yield ("SQLite, a row by its key", "read", {title: lambda way=way: said(tool, way, 50_000) for title, way in ways.items()},
               "direct calls in another thread")

    def redis_gets():
        with redis() as socket:
            tool, count = program("neighbours_redis"), 200_000
            ways = {"hiredis by hand": "by_hand", f"{OURS}, 100 tasks": "tasks", f"{OURS}, batches of 100": "batches"}
            contenders = {title: lambda way=way: said(tool, way, socket, count) for title, way in ways.items()}
            contenders["redis-benchmark"] = lambda: watched(count, "redis-benchmark", "-s", socket, "-c", 1, "-P", 100, "-t", "get", "-n", count, "-q")
            yield "Redis, GET, 100 on the way", "command", contenders, "hiredis by hand"

    def downloads():
        if not shutil.which("nginx") or not shutil.which("curl"):
            raise Missing("nginx and curl")
        tool = program("neighbours_downloads")
        with nginx("", "root {folder};") as (folder, port), tempfile.TemporaryDirectory() as into:
            (folder / "file").write_bytes(b"x" * 1_000_000)
            url, count = f"http://127.0.0.1:{port}/file", 200
            wanted = [word for i in range(count) for word in ("-o", f"{into}/{i}", url)]
            yield ("Downloads, 200 of 1 MB, 50 connections", "download",
                   {"curl --parallel": lambda: watched(count, "curl", "-s", "--parallel", "--parallel-max", "50", *wanted),
                    OURS: lambda: said(tool, url, 1_000_000, 50, count)}, "curl --parallel")

    def files():
        tool = program("neighbours_files")
        for job, count, hand, ways in (
                ("cached", 100_000, "pread", {"pread": "pread", OURS: "asynchio", "to_thread of pread": "to_thread", "std::ifstream": "ifstream"}),
                ("cold", 5_000, "pread, 32 threads", {"pread, 32 threads": "threads", f"{OURS}, 32 tasks": "asynchio",
                                                     "to_thread of pread, 32 tasks": "to_thread", "pread": "pread", "std::ifstream": "ifstream"})):
            yield (f"Files, reads of 4 KiB, {job}", "read",
                   {title: lambda way=way, job=job, count=count: said(tool, job, way, count) for title, way in ways.items()}, hand)

    def processors():
        tool = program("neighbours_processors")
        ways = {"threads by hand": "threads", OURS: "asynchio", "OpenMP": "openmp", "std::execution::par": "execution", "one thread": "alone"}
        for job, count, how in (("saxpy", 50, "saxpy of four million floats"), ("uneven", 10, "20,000 uneven calls")):
            contenders = {}
            for title, way in ways.items():
                if subprocess.run([tool, job, way, "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                    contenders[title] = lambda way=way, job=job, count=count: said(tool, job, way, count)
            yield f"parallel_for, {how}", "round", contenders, "threads by hand"

    def all_of_tls():
        yield from tls("bulk", "MiB", 400, "400 MiB in one process")
        yield from tls("handshakes", "connection", 500, "500 connections in one process")
        yield from tls_servers()

    return {"tls": all_of_tls, "postgres": queries, "sqlite": sqlite, "redis": redis_gets, "downloads": downloads, "files": files,
            "processors": processors}


def measured(title, unit, contenders, hand, rounds):
    """The rows of a job."""
    taken = {name: [] for name in contenders}
    for one in range(rounds):
        print(f"{title}, round {one + 1} ...", file=sys.stderr, flush=True)
        names = list(contenders)
        for name in names[one % len(names):] + names[:one % len(names)]:
            result = contenders[name]()
            taken[name].append((result["wall"] / result["operations"], result["cpu"] / result["operations"]))
    rows = []
    for name, runs in taken.items():
        walls, cpus = zip(*runs)
        ratios = [[mine[i] / other[i] if other[i] else 0 for mine, other in zip(runs, taken[hand])] for i in range(2)]
        rows.append({"job": title, "unit": unit, "contender": name, "hand": hand, "wall": statistics.median(walls),
                     "least": min(walls), "most": max(walls), "cpu": statistics.median(cpus),
                     "wall_ratio": statistics.median(ratios[0]), "cpu_ratio": statistics.median(ratios[1])})
    return rows


def duration(seconds):
    for factor, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 10_000:
            return f"{seconds * factor:,.0f} {unit}" if seconds * factor >= 100 else f"{seconds * factor:.2f} {unit}"
    return f"{seconds:.2f} s"


def table_of(rows):
    hand = rows[0]["hand"]
    lines = [f"| {rows[0]['job']} | a {rows[0]['unit']} | least – most | × {hand} | processor time | × {hand} |", "|---|---:|---:|---:|---:|---:|"]
    for row in rows:
        name = f"**{row['contender']}**" if row["contender"].startswith(OURS) else row["contender"]
        lines.append(f"| {name} | {duration(row['wall'])} | {duration(row['least'])} – {duration(row['most'])} | "
                     f"{row['wall_ratio']:.2f} | {duration(row['cpu'])} | {row['cpu_ratio']:.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares adapters with the same by hand")
    parser.add_argument("build", type=pathlib.Path, help="the build folder, such as build/bench")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", metavar="JOB", help="tls, postgres, sqlite, redis, downloads, files, processors")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    all_rows = []
    for name, make in jobs((options.build / "benchmarks").resolve()).items():
        if options.only and name not in options.only:
            continue
        try:
            for job in make():
                rows = measured(*job, options.rounds)
                all_rows += rows
                print(table_of(rows) + "\n", flush=True)
        except Missing as what:
            print(f"{name} is skipped: it needs {what}", file=sys.stderr)
    if options.json is not None:
        options.json.write_text(json.dumps(all_rows, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
