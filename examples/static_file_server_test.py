#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs static_file_server as its users do, with curl, a browser's requests and hostile ones: static_file_server_test.py PROGRAM"""

import concurrent.futures
import http.client
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from server_process import ServerProcess, wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./static_file_server"


class Files(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = pathlib.Path(holder.name)
        (self.root / "sub folder").mkdir()
        (self.root / "with_index").mkdir()
        (self.root / "with_index/index.html").write_text("<h1>index</h1>")
        (self.root / "sub folder/a&b.txt").write_text("a and b")
        self.large = os.urandom(9_000_000)
        (self.root / "large.bin").write_bytes(self.large)
        (self.root / "empty").touch()

    def serve(self, *words):
        server = ServerProcess(PROGRAM, "--port", "0", *words, str(self.root))
        self.addCleanup(server.__exit__)
        return server

    def get(self, server, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body, answer

    def test_files_folders_and_types(self):
        server = self.serve()
        self.assertEqual(self.get(server, "/large.bin")[:2], (200, self.large))
        self.assertEqual(self.get(server, "/empty")[:2], (200, b""))
        status, body, answer = self.get(server, "/sub%20folder/a%26b.txt?query")
        self.assertEqual((status, body, answer.getheader("content-type")), (200, b"a and b", "text/plain; charset=utf-8"))
        status, body, answer = self.get(server, "/")
        self.assertEqual(status, 200)
        self.assertIn(b'<a href="sub%20folder/">sub folder/</a>', body)
        self.assertNotIn(b"../", body)
        self.assertIn(b'<a href="a%26b.txt">a&amp;b.txt</a>', self.get(server, "/sub%20folder/")[1])
        status, _, answer = self.get(server, "/with_index")
        self.assertEqual((status, answer.getheader("location")), (301, "with_index/"))
        self.assertEqual(self.get(server, "/with_index/")[1], b"<h1>index</h1>")
        self.assertEqual(self.get(server, "/missing")[0], 404)
        status, body, answer = self.get(server, "/large.bin", "HEAD")
        self.assertEqual((status, body, answer.getheader("content-length")), (200, b"", str(len(self.large))))

    def test_ranges_and_conditions(self):
        server = self.serve()
        for asked, (first, last) in {"bytes=0-0": (0, 0), "bytes=5-9": (5, 9), "bytes=8999990-": (8999990, 8999999),
                                     "bytes=-5": (8999995, 8999999), "bytes=8999999-99999999999": (8999999, 8999999)}.items():
            status, body, answer = self.get(server, "/large.bin", Range=asked)
            self.assertEqual((status, body), (206, self.large[first:last + 1]), asked)
            self.assertEqual(answer.getheader("content-range"), f"bytes {first}-{last}/9000000")
        self.assertEqual(self.get(server, "/large.bin", Range="bytes=9000000-")[0], 416)
        for ignored in ("bytes=9-5", "bytes=a-b", "bytes=0-1,5-6", "lines=1-2", "bytes=-"):
            self.assertEqual(self.get(server, "/large.bin", Range=ignored)[0], 200, ignored)
        modified = self.get(server, "/large.bin", "HEAD")[2].getheader("last-modified")
        self.assertEqual(self.get(server, "/large.bin", If_Modified_Since=modified)[:2], (304, b""))

    def test_hostile_requests(self):
        server = self.serve()
        for path in ("/../../etc/passwd", "/sub%20folder/../../x", "/%2e%2e/%2e%2e/etc/passwd"):
            self.assertEqual(self.get(server, path)[0], 403, path)
        for request in (b"no request\r\n\r\n", b"GET /%zz HTTP/1.1\r\n\r\n", b"GET /%00 HTTP/1.1\r\n\r\n", b"GET x HTTP/1.1\r\n\r\n",
                        b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"\r\n\r\n"):
            with server.connect() as client:
                client.sendall(request)
                self.assertIn(b" 400 ", client.recv(4096), request)
        self.assertEqual(self.get(server, "/", "DELETE")[0], 405)
        with server.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000)
            self.assertIn(b" 431 ", client.recv(4096))
        for cut in (b"", b"GET", b"GET / HTTP/1.1\r\n"):
            with server.connect() as client:
                client.sendall(cut)
        self.assertEqual(self.get(server, "/empty")[0], 200)

    def test_keep_alive_and_pipelining(self):
        server = self.serve()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for _ in range(50):
            connection.request("GET", "/sub%20folder/a%26b.txt")
            self.assertEqual(connection.getresponse().read(), b"a and b")
        connection.close()
        with server.connect() as client:
            client.sendall(b"GET /empty HTTP/1.1\r\n\r\n" * 3 + b"GET /empty HTTP/1.0\r\n\r\n")
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 4)
            self.assertEqual(answer.count(b"Connection: close"), 1)
        with server.connect() as client:  # of the older version, who must be told that the connection stays
            for _ in range(2):
                client.sendall(b"GET /empty HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
                self.assertIn(b"\r\nConnection: keep-alive\r\n", client.recv(4096))

    def test_many_clients_on_several_loops(self):
        server = self.serve("--threads", "3")
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            for status, body, _ in pool.map(lambda _: self.get(server, "/large.bin"), range(60)):
                self.assertEqual((status, body), (200, self.large))
        self.assertEqual(server.end(), (0, ""))

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        server = self.serve()
        url = f"http://127.0.0.1:{server.port}"
        target = self.root.parent / (self.root.name + ".out")
        self.addCleanup(lambda: target.unlink(missing_ok=True))
        target.write_bytes(self.large[:1_000_000])
        done = subprocess.run(["curl", "-sS", "-C", "-", "-o", target, url + "/large.bin"], timeout=20, check=False)
        self.assertEqual((done.returncode, target.read_bytes()), (0, self.large))  # went on where it was
        done = subprocess.run(["curl", "-sSLf", url + "/with_index", url + "/empty"], capture_output=True, timeout=20, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b"<h1>index</h1>"))

    def small_file(self):
        (self.root / "small.txt").write_text("small\n" * 100)
        server = self.serve("--threads", "2")
        return server, f"http://127.0.0.1:{server.port}/small.txt"

    @unittest.skipUnless(shutil.which("wrk"), "wrk is not installed")
    def test_wrk(self):
        server, url = self.small_file()
        out = subprocess.run(["wrk", "-c", "50", "-t", "2", "-d", "1s", url], capture_output=True, text=True, timeout=30, check=True).stdout
        self.assertGreater(int(re.search(r"(\d+) requests in", out)[1]), 100)
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)
        self.assertEqual(server.end(), (0, ""))

    @unittest.skipUnless(shutil.which("ab"), "ab is not installed")
    def test_ab(self):
        for words in ([], ["-k"]):  # a connection for each request, and connections that are kept
            server, url = self.small_file()
            out = subprocess.run(["ab", "-q", *words, "-c", "20", "-n", "2000", url], capture_output=True, text=True, timeout=60, check=True).stdout
            self.assertRegex(out, r"Complete requests: +2000")
            self.assertRegex(out, r"Failed requests: +0")
            self.assertRegex(out, r"HTML transferred: +1200000 bytes")
            self.assertNotIn("Non-2xx", out)
            if words:
                self.assertRegex(out, r"Keep-Alive requests: +2000")

    @unittest.skipUnless(shutil.which("h2load"), "h2load is not installed")
    def test_h2load(self):
        server, url = self.small_file()
        out = subprocess.run(["h2load", "--h1", "-c", "20", "-n", "2000", url], capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertIn("2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed", out)
        self.assertIn("2000 2xx", out)
        self.assertEqual(server.end(), (0, ""))

    @unittest.skipUnless(shutil.which("chromium"), "chromium is not installed")
    def test_a_browser(self):
        (self.root / "page.html").write_text('<!doctype html><link rel="stylesheet" href="page.css"><p id="said">nothing</p><script src="page.js"></script>')
        (self.root / "page.css").write_text("p { color: rgb(1, 2, 3) }")
        (self.root / "page.js").write_text('const said = document.getElementById("said"); said.textContent = "colour " + getComputedStyle(said).color')
        server = self.serve()
        with tempfile.TemporaryDirectory() as profile:
            done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}",
                                   "--dump-dom", f"http://127.0.0.1:{server.port}/page.html"], capture_output=True, text=True, timeout=60, check=False)
        self.assertIn("colour rgb(1, 2, 3)", done.stdout, done.stderr)

    def test_the_first_ctrl_c_lets_responses_end(self):
        server = self.serve("--threads", "2")
        idle = server.connect()
        with server.connect() as client:
            client.sendall(b"GET /large.bin HTTP/1.1\r\n\r\n")
            got = client.recv(1000)
            ended = []
            thread = threading.Thread(target=lambda: ended.append(server.end()))
            thread.start()
            time.sleep(0.2)
            self.assertEqual(idle.recv(10), b"")  # told to go
            self.assertFalse(ended)
            while piece := client.recv(1 << 20):
                got += piece
            thread.join()
        idle.close()
        self.assertTrue(got.endswith(self.large[-1000:]))
        self.assertEqual(ended, [(0, "")])

    def test_the_second_ctrl_c_does_not_wait(self):
        server = self.serve()
        with server.connect() as client:
            client.sendall(b"GET /large.bin HTTP/1.1\r\n\r\n")
            client.recv(1000)
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            begin = time.monotonic()
            self.assertEqual(server.end(), (0, ""))
            self.assertLess(time.monotonic() - begin, 5)

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["--port", "x", "."], ["--port", "70000", "."], ["--port"], ["/nonexistent"],
                    ["--nosuch", "."], [".", "."], ["--threads", "0", "."])


if __name__ == "__main__":
    unittest.main()
