#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs port_scanner as its users do: port_scanner_test.py PROGRAM"""

import signal
import socket
import subprocess
import sys
import time
import unittest

from server_process import wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./port_scanner"


def scan(*words):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class Ports(unittest.TestCase):
    def listen(self, backlog=10):
        """A socket of 127.0.0.9, whose other ports are closed, and its port."""
        listening = socket.create_server(("127.0.0.9", 0), backlog=backlog)
        self.addCleanup(listening.close)
        return listening, listening.getsockname()[1]

    def test_open_and_closed(self):
        ports = sorted(self.listen()[1] for _ in range(3))
        status, out, err = scan("127.0.0.9", ",".join(map(str, ports)) + ",1,2,3")
        self.assertEqual((status, out), (0, "".join(f"{port} open\n" for port in ports)))
        self.assertEqual(err, "127.0.0.9 (127.0.0.9): 3 open, 3 closed, 0 silent\n")
        self.assertEqual(scan("127.0.0.9", "1-3"), (1, "", "127.0.0.9 (127.0.0.9): 0 open, 3 closed, 0 silent\n"))

    def test_all_ports_of_a_host(self):
        _, port = self.listen()
        status, out, err = scan("--concurrency", "200", "127.0.0.9", "1-65535")
        self.assertEqual(status, 0)
        lines = out.splitlines()
        self.assertIn(f"{port} open", lines)  # and what listens at all addresses of this machine
        self.assertLess(len(lines), 100)
        self.assertIn(f"{len(lines)} open, {65535 - len(lines)} closed, 0 silent", err)

    def test_who_does_not_answer_is_silent(self):
        listening, port = self.listen(backlog=0)
        waiting = [socket.socket() for _ in range(4)]  # what the system takes without anybody accepting, and more
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
            self.addCleanup(each.close)
        begin = time.monotonic()
        status, out, err = scan("--timeout", "0.3", "127.0.0.9", str(port))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("0 open, 0 closed, 1 silent", err)
        self.assertLess(time.monotonic() - begin, 10)

    def test_ctrl_c(self):
        listening, port = self.listen(backlog=0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
            self.addCleanup(each.close)
        program = subprocess.Popen([PROGRAM, "--timeout", "60", "127.0.0.9", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)  # nothing tells when it waits
        program.send_signal(signal.SIGINT)
        out, _ = program.communicate(timeout=20)
        self.assertEqual((program.returncode, out), (130, ""))

    def test_a_host_that_cannot_be_found(self):
        status, out, err = scan("no.such.host.invalid", "80")
        self.assertEqual((status, out), (2, ""))
        self.assertRegex(err, "^port_scanner: .*no.such.host.invalid")

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["--timeout", "x", "localhost"], ["--nosuch", "1", "localhost"], ["--timeout", "1"], ["localhost", "0"],
                    ["localhost", "65536"], ["localhost", "9-5"], ["localhost", "80,"], ["localhost", "http"], ["localhost", "80", "81"],
                    ["--concurrency", "0", "localhost"])


if __name__ == "__main__":
    unittest.main()
