#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs echo_server with clients of other kinds: echo_server_test.py PROGRAM"""

import asyncio
import os
import shutil
import subprocess
import sys
import unittest

from server_process import ServerProcess, wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./echo_server"


class Echo(unittest.TestCase):
    def test_python_clients_on_several_loops(self):
        async def talk(port, size):
            reader, writer = await asyncio.open_connection("localhost", port)
            data = os.urandom(size)
            writer.write(data)
            writer.write_eof()
            self.assertEqual(await reader.read(), data)
            writer.close()

        async def all_at_once(port):
            await asyncio.gather(*(talk(port, 10_000 * i) for i in range(50)))

        for threads in ("1", "4"):
            with ServerProcess(PROGRAM, "0", threads) as server:
                asyncio.run(all_at_once(server.port))
                self.assertEqual(server.end(), (0, ""))

    @unittest.skipUnless(shutil.which("nc"), "nc is not installed")
    def test_nc(self):
        with ServerProcess(PROGRAM) as server:
            done = subprocess.run(["nc", "-N", "localhost", str(server.port)], input=b"hello\n", capture_output=True, timeout=20)
            self.assertEqual(done.stdout, b"hello\n")

    def test_ends_with_clients(self):
        with ServerProcess(PROGRAM, "0", "2") as server:
            with server.connect() as client:
                client.sendall(b"x")
                self.assertEqual(client.recv(1), b"x")
                self.assertEqual(server.end(), (0, ""))
                self.assertEqual(client.recv(1), b"")

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, ["x"], ["-1"], ["70000"], ["0", "0"], ["0", "x"], ["0", "1", "2"])

    def test_port_in_use(self):
        done = subprocess.run([PROGRAM, "1" if os.getuid() else "99999"], capture_output=True, text=True, timeout=20)
        self.assertIn(done.returncode, (1, 2))


if __name__ == "__main__":
    unittest.main()
