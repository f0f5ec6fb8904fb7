#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs tcp_proxy between Python's programs: tcp_proxy_test.py PROGRAM"""

import os
import re
import socket
import sys
import threading
import unittest

from server_process import ServerProcess, wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./tcp_proxy"


class Proxy(unittest.TestCase):
    def test_both_ways_with_half_close(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            data, answer = os.urandom(3_000_000), os.urandom(2_000_000)
            seen = []

            def serve():
                client, _ = listener.accept()
                with client:
                    got = b""
                    while piece := client.recv(1 << 20):
                        got += piece
                    seen.append(got)
                    client.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            with ServerProcess(PROGRAM, "0", "127.0.0.1", str(listener.getsockname()[1])) as server:
                with server.connect() as client:
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    got = b""
                    while piece := client.recv(1 << 20):
                        got += piece
                thread.join()
                self.assertEqual(seen, [data])
                self.assertEqual(got, answer)
                self.assertRegex(server.process.stdout.readline(), r"^127.0.0.1:\d+: 3000000 bytes up, 2000000 down\n")
                self.assertEqual(server.end(), (0, ""))

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with ServerProcess(PROGRAM, "0", "127.0.0.1", str(port)) as server:
            with server.connect() as client:
                self.assertEqual(client.recv(1), b"")
            self.assertRegex(server.process.stdout.readline(), r"0 bytes up, 0 down, connect to 127.0.0.1:\d+: Connection refused")

    def test_a_reset_ends_the_other_side(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with ServerProcess(PROGRAM, "0", "127.0.0.1", str(listener.getsockname()[1])) as server:
                with server.connect() as client:
                    client.sendall(b"x")
                    other, _ = listener.accept()
                    self.assertEqual(other.recv(1), b"x")
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    other.close()
                    self.assertEqual(client.recv(1), b"")
                self.assertTrue(re.search("Connection reset by peer", server.process.stdout.readline()))

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["x", "host", "80"], ["0", "host", "0"], ["0", "host"], ["0", "host", "99999"])


if __name__ == "__main__":
    unittest.main()
