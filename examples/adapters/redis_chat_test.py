#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs members of redis_chat at a redis-server of its own: redis_chat_test.py PROGRAM"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from server_process import free_port, needs, wait_until_listening, wrong_usage  # noqa: E402

PROGRAM = os.path.abspath(sys.argv.pop(1) if len(sys.argv) > 1 else "./redis_chat")


class Member:
    def __init__(self, test, server, name, room="kitchen"):
        self.process = subprocess.Popen([PROGRAM, "--server", server, name, room], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = []
        self.news = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        test.addCleanup(self.close)

    def read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.decode().rstrip("\n"))
                self.news.notify_all()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for each in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                each.close()
            except BrokenPipeError:
                pass

    def say(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines).encode())
        self.process.stdin.flush()

    def hear(self, line, times=1):
        with self.news:
            if not self.news.wait_for(lambda: self.lines.count(line) >= times, timeout=30):
                raise AssertionError(f"{line!r} does not come: {self.lines}")

    def end(self, number=None):
        if number is None:
            self.process.stdin.close()
        else:
            self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        self.reader.join()
        return status, self.process.stderr.read()


@needs("redis-server")
class RedisChat(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"
        self.redis = None
        self.addCleanup(self.stop)
        self.start()

    def start(self):
        self.redis = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                                       "--appendonly", "yes", "--appendfsync", "always", "--dir", self.folder,
                                       "--unixsocket", self.folder + "/socket"], stdout=subprocess.DEVNULL)
        wait_until_listening(self.port)

    def stop(self):
        self.redis.kill()
        self.redis.wait()

    def test_members_hear_each_other(self):
        ann = Member(self, self.server, "ann")
        ann.say("first")
        bob = Member(self, self.folder + "/socket", "bob")
        bob.hear("* ann has come")
        bob.hear("ann: first")
        ann.hear("* bob has come")
        other = Member(self, self.server, "eve", "cellar")
        bob.say("hello ann", "Grüße, 世界", "\x1b[31mred")
        ann.hear("bob: hello ann")
        ann.hear("bob: Grüße, 世界")
        ann.hear("bob: ?[31mred")
        ann.say("x" * 70_000, "y" * 60_000)
        bob.hear("ann: " + "y" * 60_000)
        ann.hear("* that line is too long")
        other.say("/who")
        other.hear("* here: eve")
        ann.say("/who")
        ann.hear("* here: ann bob")
        self.assertEqual(bob.end(), (0, b""))
        ann.hear("* bob has left")
        ann.say("/who")
        ann.hear("* here: ann")
        self.assertEqual(ann.end(), (0, b""))
        self.assertNotIn("ann: first", ann.lines)
        self.assertEqual(other.lines, ["* here: eve"])

    def test_the_last_fifty_lines_are_kept(self):
        ann = Member(self, self.server, "ann")
        ann.say(*[f"line {i}" for i in range(100)])
        self.assertEqual(ann.end(), (0, b""))
        bob = Member(self, self.server, "bob")
        bob.hear("* ann has left")
        bob.say("/who")
        bob.hear("* here: bob")
        self.assertEqual([line for line in bob.lines if line.startswith("ann")], [f"ann: line {i}" for i in range(52, 100)])

    def test_ctrl_c_tells_the_room(self):
        ann, bob = Member(self, self.server, "ann"), Member(self, self.server, "bob")
        ann.say("here")
        bob.hear("ann: here")
        self.assertEqual(ann.end(signal.SIGINT), (130, b""))
        bob.hear("* ann has left")

    def test_a_server_that_goes_and_comes(self):
        ann, bob = Member(self, self.server, "ann"), Member(self, self.server, "bob")
        ann.say("before")
        bob.hear("ann: before")
        self.stop()
        for each in (ann, bob):
            each.hear("* the server is away; trying again")
        ann.say("while it is away")
        self.start()
        bob.hear("ann: while it is away")
        bob.say("after")
        ann.hear("bob: after")
        self.assertEqual(bob.lines.count("ann: before"), 1)
        self.assertEqual(bob.lines.count("* the server is away; trying again"), 1)
        self.stop()
        ann.hear("* the server is away; trying again", times=2)
        self.assertEqual(ann.end(), (0, b""))
        self.assertEqual(bob.end(signal.SIGINT), (130, b""))

    def test_a_file_as_input(self):
        path = pathlib.Path(self.folder, "lines")
        path.write_text("from a file\nwithout a newline")
        with path.open() as lines:
            done = subprocess.run([PROGRAM, "--server", self.server, "ann", "kitchen"], stdin=lines, capture_output=True,
                                  timeout=30)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        bob = Member(self, self.server, "bob")
        for line in ("ann: from a file", "ann: without a newline", "* ann has left"):
            bob.hear(line)

    def bad(self, server, says):
        done = subprocess.run([PROGRAM, "--server", server, "ann", "kitchen"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, "^redis_chat: redis: .*\n$")
        self.assertIn(says, done.stderr)

    def test_no_server(self):
        self.bad(f"127.0.0.1:{free_port()}", "Connection refused")
        self.bad("nowhere.invalid", "nowhere.invalid")
        self.bad("/nowhere/socket", "/nowhere/socket")

    def test_a_server_of_something_else(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            def answer():
                client, _ = other.accept()
                with client:
                    client.sendall(b"220 mail.example.org ESMTP\r\n")
                    client.recv(1000)

            thread = threading.Thread(target=answer)
            thread.start()
            self.bad(f"127.0.0.1:{other.getsockname()[1]}", 'Protocol error, got "2" as reply type byte')
            thread.join()

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["help"], ["a", "b", "c"], ["", "b"], ["a b", "c"], ["a", "b\n"], ["a:b", "c"],
                    ["x" * 65, "y"], ["--server", "a", "b"], ["--server", "", "a", "b"], ["--server", "h:", "a", "b"],
                    ["--server", "h:0", "a", "b"], ["--server", "h:65536", "a", "b"], ["--server", "h:x", "a", "b"],
                    ["--server", ":1", "a", "b"])


if __name__ == "__main__":
    unittest.main()
