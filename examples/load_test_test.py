#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs load_test against Python's http.server, bad servers, and static_file_server, which stands beside it:
load_test_test.py PROGRAM"""

import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from server_process import ServerProcess, nginx, wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./load_test"
FILES = os.path.join(os.path.dirname(PROGRAM), "static_file_server")


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self):
        type(self).count += 1
        if self.path == "/slow":
            time.sleep(0.5)
        if self.path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
            self.close_connection = True
            return
        if self.path == "/chunked":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;name=x\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n")
            return
        if self.path in ("/to_the_end", "/close", "/old", "/unsaid"):  # ways to end a connection, the last without a word
            self.wfile.write({"/to_the_end": b"HTTP/1.1 200 OK\r\n\r\nhello", "/old": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                              "/close": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
                              "/unsaid": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}[self.path])
            self.close_connection = True
            return
        if self.path == "/nonsense":
            self.wfile.write(b"SSH-2.0 nonsense\r\n\r\n")
            self.close_connection = True
            return
        if self.path == "/nothing":
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(500 if self.path == "/bad" else 200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def number(name, text):
    return int(re.search(rf"^ *{name} +(\d+)", text, re.M)[1])


class Load(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.handle_error = lambda *_: None  # clients that give up
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        Answers.count = 0

    def load(self, path, *words):
        done = subprocess.run([PROGRAM, *words, f"http://127.0.0.1:{self.server.server_address[1]}{path}"],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def test_so_many_requests(self):
        status, out, err = self.load("/", "--connections", "5", "--requests", "200")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual((number("requests", out), number("errors", out), Answers.count), (200, 0, 200))
        self.assertRegex(out, r"latency +p50 [\d.]+ ms, p90 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms\n  up to +[\d.]+ ms +\d+ #+")

    def test_bodies_and_ends_of_all_kinds(self):
        for path in ("/chunked", "/to_the_end", "/close", "/old", "/unsaid", "/nothing"):
            Answers.count = 0
            status, out, err = self.load(path, "--connections", "2", "--requests", "20")
            self.assertEqual((status, err), (0, ""), path)
            self.assertEqual((number("requests", out), number("errors", out), Answers.count), (20, 0, 20), path)

    @unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
    def test_nginx_has_seen_each_request(self):
        # It closes a connection after 50 requests, and says so.
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log")
            with nginx(f"access_log {log}; keepalive_requests 50;", 'location / { return 200 "hello"; }') as (_, port):
                done = subprocess.run([PROGRAM, "--requests", "2000", "--connections", "20", f"http://127.0.0.1:{port}/"],
                                      capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, number("requests", done.stdout), number("errors", done.stdout)), (0, 2000, 0))
            with open(log) as lines:  # a line comes after its answer: all are there when nginx has ended
                self.assertEqual(len(lines.readlines()), 2000)

    def test_a_rate_is_kept(self):
        begin = time.monotonic()
        status, out, _ = self.load("/", "--rate", "100", "--seconds", "1", "--connections", "10")
        self.assertEqual((status, number("requests", out)), (0, 100))
        self.assertGreater(time.monotonic() - begin, 0.9)

    def test_waiting_counts_with_a_rate(self):
        # Two connections can answer four requests a second: those that should have begun earlier wait.
        _, out, _ = self.load("/slow", "--rate", "20", "--requests", "10", "--connections", "2")
        self.assertGreater(float(re.search(r"max ([\d.]+) ms", out)[1]), 1500)

    def test_errors_by_kind(self):
        for path, kind, words in (("/bad", "HTTP 500", []), ("/cut", "closed early", []), ("/nonsense", "no HTTP response", []), ("/slow", "timeout", ["--timeout", "0.1"])):
            status, out, _ = self.load(path, "--requests", "3", "--connections", "1", *words)
            self.assertEqual((status, number("errors", out)), (1, 3))
            self.assertIn(f"  {kind}: 3\n", out)
        done = subprocess.run([PROGRAM, "--requests", "2", "http://127.0.0.1:1/"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("  Connection refused: 2\n", done.stdout)

    def test_ctrl_c_prints_what_there_is(self):
        program = subprocess.Popen([PROGRAM, f"http://127.0.0.1:{self.server.server_address[1]}/"], stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        program.send_signal(signal.SIGINT)
        out, _ = program.communicate(timeout=20)
        self.assertEqual(program.returncode, 130)
        self.assertGreater(number("requests", out), 0)

    @unittest.skipUnless(os.path.exists(FILES), "static_file_server stands not beside it")
    def test_file_server_under_load(self):
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "file"), "wb") as file:
                file.write(os.urandom(20_000))
            with ServerProcess(FILES, "--port", "0", root) as server:
                done = subprocess.run([PROGRAM, "--requests", "20000", "--connections", "100", f"http://127.0.0.1:{server.port}/file"],
                                      capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual((number("requests", done.stdout), number("errors", done.stdout)), (20000, 0))
                self.assertEqual(server.end(), (0, ""))

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["ftp://x/"], ["http:///"], ["http://x:y/"], ["--rate", "x", "http://x/"],
                    ["--connections", "0", "http://x/"], ["http://x/", "http://y/"], ["--nosuch"])


if __name__ == "__main__":
    unittest.main()
