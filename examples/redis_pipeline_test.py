#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs redis_pipeline against a real Redis, and against servers that are none: redis_pipeline_test.py PROGRAM"""

import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from server_process import free_port, needs, wait_until_listening, wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./redis_pipeline"


def talk(port):
    done = subprocess.run([PROGRAM, "127.0.0.1", str(port)], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


class Redis(unittest.TestCase):
    @needs("redis-server")
    def test_a_real_server(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        port = free_port()
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", holder.name], stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        wait_until_listening(port)
        status, out, err = talk(port)
        self.assertEqual((status, err), (0, ""))
        replies = [line[26:] for line in out.splitlines()]
        self.assertEqual(replies[:6], ["PONG", "OK", "42", "42", "1", "nothing"])
        self.assertTrue(replies[6].startswith("error: ERR unknown command 'NOSUCH'"), replies)

    def against(self, answer):
        """What comes of a server that sends `answer` to whoever connects."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)

        def serve():
            client, _ = listening.accept()
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
            client.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = talk(listening.getsockname()[1])
        thread.join()
        return result

    def test_servers_that_are_none(self):
        for answer, words in {b"HTTP/1.1 400 Bad Request\r\n": "no reply known here: HTTP/1.1 400 Bad Request", b"\r\n": "an empty line",
                              b"+PONG\r\n$9\r\nshort": "read", b"$99999999999\r\n": "no reply known here", b"+PO": "read", b"": "read"}.items():
            status, _, err = self.against(answer)
            self.assertEqual(status, 1, answer)
            self.assertRegex(err, "^redis_pipeline: .*" + words, answer)

    def test_nobody_listens(self):
        status, out, err = talk(free_port())
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "^redis_pipeline: connect to 127.0.0.1:[0-9]+: Connection refused\n$")

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, ["localhost"], ["localhost", "x"], ["localhost", "70000"], ["a", "1", "b"])


if __name__ == "__main__":
    unittest.main()
