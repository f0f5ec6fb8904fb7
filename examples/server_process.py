# SPDX-License-Identifier: BSL-1.0
"""For the behaviour tests of servers: a program that prints where it listens, and is ended at the end."""

import re
import signal
import socket
import subprocess


class ServerProcess:
    """`with ServerProcess(PROGRAM, *words) as server:` has .port, and .end() -> (exit status, rest of its output)."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.search(r"(\d+)/?\s*$", line)
        if not match:
            raise RuntimeError(f"{command} does not listen: {line}{self.process.communicate(timeout=5)[1]}")
        self.port = int(match[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return client

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out + err


def wrong_usage(test, program, *lines):
    """Each of `lines` is wrong: usage on standard error, nothing else, exit status 2."""
    for words in lines:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=20)
        test.assertEqual((done.returncode, done.stdout), (2, ""), words)
        test.assertIn("usage: ", done.stderr, words)
