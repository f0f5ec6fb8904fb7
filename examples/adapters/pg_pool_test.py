#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs pg_pool with a server of its own, if PostgreSQL is installed: pg_pool_test.py PROGRAM"""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from server_process import POSTGRES, postgres, wrong_usage  # noqa: E402

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./pg_pool"
REQUIRED = "ASYNCHIO_ADAPTERS_REQUIRED" in os.environ

EXPECTED = """\
1: item 1
2: item 2
3: item 3
4: item 4
5: item 5
20 queries on 4 connections: 120
heard: all is well
too slow: stopped
and the connection still works: 5 rows
"""


class PgPool(unittest.TestCase):
    def start_server(self):
        if not POSTGRES and not REQUIRED:
            self.skipTest("postgres is not installed")
        server = postgres()
        folder = server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        return f"host={folder} user=tester dbname=postgres"

    def test_all_of_it(self):
        server = self.start_server()
        for _ in range(3):
            done = subprocess.run([PROGRAM, server], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, EXPECTED, ""))

    def test_without_a_server(self):
        for where, named in (("host=/nowhere", "/nowhere"), ("host=nowhere.invalid", "nowhere.invalid"),
                             ("hots=a", "hots")):
            done = subprocess.run([PROGRAM, where], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(named, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["a", "b"])


if __name__ == "__main__":
    unittest.main()
