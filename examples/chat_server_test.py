#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs chat_server and chat_client, which stands beside it: chat_server_test.py PROGRAM"""

import os
import socket
import subprocess
import sys
import tempfile
import unittest

from server_process import ServerProcess, wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./chat_server"
CLIENT = os.path.join(os.path.dirname(PROGRAM), "chat_client")


class Member:
    def __init__(self, server, name, room=None):
        self.socket = socket.socket()
        if room is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", server.port))
        self.file = self.socket.makefile("r", newline="\n")
        self.expect("your name?")
        self.say(name)

    def say(self, line):
        self.socket.sendall((line + "\n").encode())

    def expect(self, line):
        got = self.file.readline()
        if got != line + "\n":
            raise AssertionError(f"{got!r} instead of {line!r}")

    def close(self):
        self.file.close()
        self.socket.close()


class Chat(unittest.TestCase):
    def test_everybody_reads_what_everybody_writes(self):
        with ServerProcess(PROGRAM) as server:
            ann = Member(server, "ann")
            ann.expect("ann joined")
            bob = Member(server, "ann")
            bob.expect("that one is taken, or no word of up to 20 letters")
            bob.expect("your name?")
            bob.say("bob")
            for each in (ann, bob):
                each.expect("bob joined")
            bob.say("hello")
            for each in (ann, bob):
                each.expect("bob: hello")
            bob.close()
            ann.expect("bob left")
            ann.say("x" * 2000)  # too long: out
            self.assertEqual(ann.file.readline(), "")
            ann.close()

    def test_who_reads_slowly_holds_up_nobody(self):
        with ServerProcess(PROGRAM) as server:
            slow = Member(server, "slow", 4096)
            fast = Member(server, "fast")
            fast.expect("fast joined")
            line = "y" * 900
            for i in range(20_000):
                fast.say(line)
                got = fast.file.readline()
                if got == "slow left\n":
                    break
                self.assertEqual(got, f"fast: {line}\n")
            else:
                self.fail("the slow one is still there")
            slow.close()
            fast.close()

    def test_clients_in_a_pipe_and_with_a_file(self):
        with ServerProcess(PROGRAM) as server, tempfile.TemporaryFile() as text:
            ann = Member(server, "ann")
            ann.expect("ann joined")
            client = subprocess.Popen([CLIENT, "localhost", str(server.port), "bob"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
            ann.expect("bob joined")
            client.stdin.write("from a pipe\n")
            client.stdin.flush()
            ann.expect("bob: from a pipe")
            ann.say("to bob")
            out, _ = client.communicate(timeout=20)
            self.assertEqual(client.returncode, 0)
            self.assertIn("bob: from a pipe\n", out)
            text.write(b"from a file\n")
            text.seek(0)
            done = subprocess.run([CLIENT, "localhost", str(server.port), "cid"], stdin=text, capture_output=True, timeout=20)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(server.end()[0], 0)
            ann.close()

    def test_client_without_a_server(self):
        done = subprocess.run([CLIENT, "localhost", "1", "ann"], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Connection refused", done.stderr)

    def test_ctrl_c(self):
        with ServerProcess(PROGRAM) as server:
            client = subprocess.Popen([CLIENT, "localhost", str(server.port), "ann"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.assertEqual(client.stdout.readline(), b"your name?\n")
            client.send_signal(2)
            client.communicate(timeout=20)
            self.assertEqual(client.returncode, 130)

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, ["x"], ["1", "2"], ["70000"])
        wrong_usage(self, CLIENT, [], ["host"], ["host", "x", "name"])


if __name__ == "__main__":
    unittest.main()
