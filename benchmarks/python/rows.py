#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The rows that asyncio has, in CPython's loop or in uvloop's, as JSON.

    rows.py [--loop asyncio|uvloop] [--repetitions N]

Each is the problem of the same name in ../<problem>/problem.hpp, with fewer operations, and checks its answer.
"""

import argparse
import asyncio
import json
import platform
import socket
import sys
import threading
import time


def check(right: bool, what: str) -> None:
    if not right:
        sys.exit(f"wrong answer: {what}")


async def child(x):
    return x


async def awaits():
    n, total = 1_000_000, 0
    for i in range(n):
        total += await child(i)
    check(total == n * (n - 1) // 2, "await")
    return n


async def fib(n):
    return n if n < 2 else await fib(n - 1) + await fib(n - 2)


async def recursive():
    check(await fib(23) == 28_657, "recursive")
    return 92_735


def yields(tasks):
    async def row():
        switches, count = 200_000, 0

        async def give_way(times):
            nonlocal count
            for _ in range(times):
                await asyncio.sleep(0)
                count += 1
        await asyncio.gather(*(give_way(switches // tasks) for _ in range(tasks)))
        check(count == switches, "yield")
        return switches
    return row


def spawns(at_once):
    async def row():
        total, done = 100_000, 0

        async def count():
            nonlocal done
            done += 1
        for round in range(total // at_once):
            tasks = [asyncio.create_task(count()) for _ in range(at_once)]
            while done < (round + 1) * at_once:
                await asyncio.sleep(0)
            del tasks
        check(done == total, "spawn_join")
        return total
    return row


async def tens():
    rounds, total = 5_000, 0
    for _ in range(rounds):
        total += sum(await asyncio.gather(*(child(x) for x in range(10))))
    check(total == 45 * rounds, "gather")
    return rounds


def ranges(n):
    async def row():
        check(sum(await asyncio.gather(*(child(1) for _ in range(n)))) == n, "gather")
        return n
    return row


def length(i):  # up to 50 ms, the same as in timers/problem.hpp
    return (i * 2_654_435_761 % 2**32 * 50_000_000 >> 32) * 1e-9


def sleeps(n):
    async def row():
        woken = 0

        async def one(seconds):
            nonlocal woken
            await asyncio.sleep(seconds)
            woken += 1
        await asyncio.gather(*(one(length(i)) for i in range(n)))
        check(woken == n, "timers")
        return n
    return row


async def timer_cancels():
    loop, n = asyncio.get_running_loop(), 100_000
    others = [loop.call_later(3600 + length(i), lambda: None) for i in range(1000)]
    begin = time.process_time()
    for i in range(n):
        loop.call_later(length(i), lambda: None).cancel()
    took = time.process_time() - begin
    for each in others:
        each.cancel()
    return n, took


def queues(capacity):
    async def row():
        queue, items = asyncio.Queue(capacity), 100_000

        async def produce():
            for i in range(items):
                await queue.put(i)

        async def consume():
            total = 0
            for _ in range(items):
                total += await queue.get()
            check(total == items * (items - 1) // 2, "queue")
        await asyncio.gather(produce(), consume())
        return items
    return row


async def locks():
    mutex, n, count = asyncio.Lock(), 200_000, 0
    for _ in range(n):
        await mutex.acquire()
        count += 1
        mutex.release()
    check(count == n, "mutex")
    return n


async def guards():
    mutex, n, count = asyncio.Lock(), 200_000, 0
    for _ in range(n):
        async with mutex:
            count += 1
    check(count == n, "mutex")
    return n


async def posts():
    loop, n, made, done = asyncio.get_running_loop(), 100_000, 0, asyncio.Event()

    def call():
        nonlocal made
        made += 1
        if made == n:
            done.set()

    def poster():
        for _ in range(n):
            loop.call_soon_threadsafe(call)
    thread = threading.Thread(target=poster)
    thread.start()
    await done.wait()
    thread.join()
    return n


async def to_threads():
    n, answer = 2_000, 0
    for _ in range(n):
        answer += await asyncio.to_thread(lambda: 1)
    check(answer == n, "to_thread")
    return n


def echoes(connections):
    async def row():
        async def echo(reader, writer):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
            writer.close()

        async def ask(reader, writer, times):
            for i in range(times):
                sent = str(i).encode().ljust(64, b".")
                writer.write(sent)
                check(await reader.readexactly(64) == sent, "echo")
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
        for _, writer in streams:
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        n = 10_000
        begin = time.process_time()
        await asyncio.gather(*(ask(reader, writer, n // connections) for reader, writer in streams))
        took = time.process_time() - begin
        for _, writer in streams:
            writer.close()
        server.close()
        await asyncio.sleep(0.05)
        return n, took
    return row


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


async def memory():
    never, n = asyncio.get_running_loop().create_future(), 50_000

    async def wait():
        await never
    before = resident_bytes()
    tasks = [asyncio.create_task(wait()) for _ in range(n)]
    await asyncio.sleep(0)
    bytes_each = (resident_bytes() - before) / n
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return bytes_each


ROWS = {
    "await_@": awaits, "recursive_@": recursive, "yield_@/1": yields(1), "yield_@/1000": yields(1000),
    "spawn_join_@/1000": spawns(1000), "spawn_join_@/100000": spawns(100_000), "gather_10_@": tens, "gather_range_@/1000": ranges(1000),
    "gather_range_@/10000": ranges(10_000), "sleep_@/10000": sleeps(10_000), "sleep_@/100000": sleeps(100_000),
    "timer_cancel_@": timer_cancels, "queue_@/1": queues(1), "queue_@/128": queues(128), "queue_@/0": queues(0),
    "mutex_uncontended_@": locks, "mutex_uncontended_guard_@": guards, "post_@": posts, "to_thread_@": to_threads, "echo_@/1": echoes(1),
    "echo_@/100": echoes(100),
}
REAL_TIME = ("post_", "to_thread_")  # two threads work: what counts is when it is done


def main() -> int:
    parser = argparse.ArgumentParser(description="The rows that asyncio has, as JSON")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    contender, version, new_loop = "cpython", platform.python_version(), asyncio.new_event_loop
    if options.loop == "uvloop":
        try:
            import uvloop
        except ImportError:
            print(f"uvloop is not installed for {sys.executable} (Debian: python3-uvloop)", file=sys.stderr)
            return 1
        contender, version, new_loop = "uvloop", uvloop.__version__, uvloop.new_event_loop

    def run(row):
        loop = new_loop()
        try:
            return loop.run_until_complete(row())
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    rows = {"memory_@_waiting_for_future": {"values": [run(memory)], "unit": "B"}}  # before others leave room behind
    for name, row in ROWS.items():
        print(f"{contender} {name} ...", file=sys.stderr, flush=True)
        clock = time.perf_counter if name.startswith(REAL_TIME) else time.process_time
        values = []
        for _ in range(options.repetitions):
            begin = clock()
            result = run(row)
            operations, took = result if isinstance(result, tuple) else (result, clock() - begin)
            values.append(took / operations * 1e9)
        rows[name] = {"values": values, "unit": "ns"}
    print(json.dumps({"contender": contender, "version": version,
                      "rows": {name.replace("@", contender): row for name, row in rows.items()}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
