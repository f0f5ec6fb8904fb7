#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""asyncpg_client.py FOLDER TASKS CONNECTIONS OPERATIONS: what postgres.cpp measures, by asyncpg."""

import asyncio
import json
import sys
import time

import asyncpg

SQL = "select $1::int"


async def main():
    folder, tasks, connections, operations = sys.argv[1], *map(int, sys.argv[2:])
    async with asyncpg.create_pool(host=folder, user="tester", database="postgres", min_size=connections, max_size=connections) as pool:
        async def ask(first):
            for i in range(first, operations, tasks):
                if await pool.fetchval(SQL, i) != i:
                    sys.exit("wrong answer")

        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(ask(first) for first in range(tasks)))
        print(json.dumps({"operations": operations, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))


asyncio.run(main())
