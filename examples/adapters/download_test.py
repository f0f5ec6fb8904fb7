#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs download with servers that cut, change and refuse, and with a real nginx: download_test.py PROGRAM"""

import fcntl
import hashlib
import http.server
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from server_process import free_port, needs, nginx, wait_until_listening, wrong_usage  # noqa: E402
from tls_files import certificate  # noqa: E402

PROGRAM = os.path.abspath(sys.argv.pop(1) if len(sys.argv) > 1 else "./download")
CONTENT = b"".join(b"line %d\n" % i for i in range(50_000))


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at every path, with ranges. `answers[path]` is a list of what is done otherwise, once each: a status,
    ("cut", N) for the end of the connection after N bytes, ("hold", N) for nothing more, "shift" for a wrong range."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.etag, self.answers, self.asked = '"first"', {}, []
        self.lock, self.held, self.now, self.most = threading.Lock(), threading.Event(), 0, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # clients leave

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        s = self.server
        with s.lock:
            s.now += 1
            s.most = max(s.most, s.now)
            s.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
            left = s.answers.get(self.path, [])
            special = left.pop(0) if left else None
        try:
            self.answer(special)
        finally:
            with s.lock:
                s.now -= 1

    def answer(self, special):
        etag, wanted = self.server.etag, self.headers.get("Range")
        first = 0
        if isinstance(special, int):
            status = special
        elif wanted and self.headers.get("If-Range") == etag:
            first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            status = 206 if first < len(CONTENT) else 416
        else:
            status = 200
        body = CONTENT[first:] if status < 400 else b"no"
        self.send_response(status)
        if status == 206:
            shift = 1 if special == "shift" else 0
            self.send_header("Content-Range", f"bytes {first + shift}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if status == 416:
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not isinstance(special, tuple):
            self.wfile.write(body)
            return
        self.close_connection = True
        self.wfile.write(body[:special[1]])
        if special[0] == "hold":
            self.server.held.set()
            self.rfile.read(1)


class Download(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def call(self, *words, **more):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, cwd=self.folder, **more)
        return done.returncode, sorted(done.stdout.splitlines()), done.stderr

    def check_files(self, *names):
        self.assertEqual(sorted(each.name for each in self.folder.iterdir()), sorted(names))
        for name in names:
            self.assertEqual((self.folder / name).read_bytes(), CONTENT, name)

    def begin(self, name, size, version='"first"'):
        """What an earlier call has left."""
        (self.folder / (name + ".part")).write_bytes(CONTENT[:size])
        if version:
            (self.folder / (name + ".part.version")).write_text(version + "\n")

    def test_files_into_a_pipe(self):
        lines = [f"{name}: {len(CONTENT)} bytes" for name in ("a", "b", "c d")]
        self.assertEqual(self.call(*map(self.server.url, ("x/a", "b?q=/z", "c%20d"))), (0, lines, ""))
        self.check_files("a", "b", "c d")

    def test_one_line_on_a_terminal(self):
        self.server.answers["/a"] = [("hold", 1000)]
        main, other = pty.openpty()
        process = subprocess.Popen([PROGRAM, self.server.url("a"), self.server.url("b")], stdout=other, stderr=other, cwd=self.folder)
        os.close(other)
        text = b""
        while b"1 of 2 files" not in text:
            text += os.read(main, 1000)
        process.send_signal(signal.SIGINT)
        try:
            while piece := os.read(main, 1000):
                text += piece
        except OSError:
            pass
        os.close(main)
        self.assertEqual(process.wait(timeout=20), 130)
        self.assertRegex(text.decode(), rf"b: {len(CONTENT)} bytes\r\n")
        self.assertRegex(text.decode(), r"\r\x1b\[K1 of 2 files, [\d.]+ MB, [\d.]+ MB/s")
        self.assertRegex(text.decode(), r"\r\x1b\[Kdownload: interrupted; the same call goes on from here\r\n$")

    def test_interrupted_and_resumed(self):
        self.server.answers["/a"] = [("hold", 300_000)]
        process = subprocess.Popen([PROGRAM, self.server.url("a")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder)
        part = self.folder / "a.part"
        self.assertTrue(self.server.held.wait(timeout=60))
        while not part.exists() or part.stat().st_size < 300_000:
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (130, ""))
        self.assertEqual(err, "download: interrupted; the same call goes on from here\n")
        self.assertEqual(part.read_bytes(), CONTENT[:300_000])
        status, lines, err = self.call(self.server.url("a"))
        self.assertEqual((status, lines, err), (0, [f"a: {len(CONTENT)} bytes"], ""))
        self.assertEqual(self.server.asked[-1], ("/a", "bytes=300000-", '"first"'))
        self.check_files("a")

    def test_another_version_is_got_anew(self):
        (self.folder / "a.part").write_bytes(b"something else")
        (self.folder / "a.part.version").write_text('"older"\n')
        self.assertEqual(self.call(self.server.url("a"))[0], 0)
        self.assertEqual(self.server.asked, [("/a", "bytes=14-", '"older"')])
        self.check_files("a")

    def test_without_a_version_nothing_is_resumed(self):
        self.server.etag = None
        self.begin("a", 1000, None)
        self.server.answers["/a"] = [("cut", 5000)]
        status, _, err = self.call(self.server.url("a"))
        self.assertEqual(status, 0)
        self.assertIn("next try in 500 ms", err)
        self.assertEqual(self.server.asked, [("/a", None, None)] * 2)
        self.check_files("a")

    def test_a_weak_version_is_none(self):
        self.server.etag = 'W/"weak"'
        self.server.answers["/a"] = [("cut", 5000)]
        self.assertEqual(self.call(self.server.url("a"))[0], 0)
        self.assertEqual(self.server.asked, [("/a", None, None)] * 2)
        self.check_files("a")

    def test_a_cut_is_resumed(self):
        self.server.answers["/a"] = [("cut", 100_000), ("cut", 100_000), 503]
        status, lines, err = self.call(self.server.url("a"))
        self.assertEqual((status, lines), (0, [f"a: {len(CONTENT)} bytes"]))
        self.assertEqual([each[1] for each in self.server.asked], [None, "bytes=100000-", "bytes=200000-", "bytes=200000-"])
        self.assertIn("the server answers with the status 503; next try in 2000 ms", err)
        self.check_files("a")

    def test_whole_but_not_renamed(self):
        self.begin("a", len(CONTENT))
        self.assertEqual(self.call(self.server.url("a"))[:2], (0, [f"a: {len(CONTENT)} bytes"]))
        self.check_files("a")

    def test_too_long_or_at_another_place_is_got_anew(self):
        self.begin("a", len(CONTENT))
        with open(self.folder / "a.part", "ab") as file:
            file.write(b"more")
        self.begin("b", 1000)
        self.server.answers["/b"] = ["shift"]
        status, _, err = self.call(self.server.url("a"), self.server.url("b"))
        self.assertEqual((status, err.count("the server does not resume it; next try")), (0, 2))
        self.check_files("a", "b")

    def test_failures_are_told_and_the_others_go_on(self):
        self.server.answers = {"/gone": [404] * 9, "/down": [500] * 9}
        refused = f"http://127.0.0.1:{free_port()}/refused"
        status, lines, err = self.call("--tries", "2", *map(self.server.url, ("gone", "down", "fine")), refused)
        self.assertEqual((status, lines), (1, [f"fine: {len(CONTENT)} bytes"]))
        self.assertIn("download: gone: the server answers with the status 404\n", err)
        self.assertIn("download: down: the server answers with the status 500\n", err)
        self.assertEqual([each[0] for each in self.server.asked].count("/gone"), 1)
        self.assertEqual([each[0] for each in self.server.asked].count("/down"), 2)
        self.assertRegex(err, f"download: refused: GET {refused}: .*nobody listens there")

    def test_checksums(self):
        right, wrong = hashlib.sha256(CONTENT).hexdigest(), "0" * 64
        (self.folder / "list").write_text(
            f"# a comment\r\n\n{right}  {self.server.url('b')}\r\n{self.server.url('c')}#sha256={right.upper()}\n{self.server.url('e')}\n")
        status, lines, err = self.call("--list", "list", self.server.url("a#sha256=" + right), self.server.url("d#sha256=" + wrong))
        self.assertEqual((status, lines), (1, [f"{name}: {len(CONTENT)} bytes" for name in "abce"]))
        self.assertEqual(err, f"download: d: its SHA-256 is {right}, and should be {wrong}\n")
        (self.folder / "list").unlink()
        self.check_files("a", "b", "c", "e")
        asked = len(self.server.asked)
        self.assertEqual(self.call(self.server.url("a#sha256=" + right)), (0, ["a: is there already"], ""))
        self.assertEqual(len(self.server.asked), asked)
        (self.folder / "a").write_bytes(b"old")
        self.assertEqual(self.call("--list", "-", input=self.server.url("a#sha256=" + right))[0], 0)
        self.check_files("a", "b", "c", "e")

    def test_few_at_a_time(self):
        urls = [self.server.url(f"f{i}") for i in range(30)]
        (self.folder / "into").mkdir()
        self.assertEqual(self.call("--at-a-time", "3", "--into", "into", *urls)[0], 0)
        self.assertLessEqual(self.server.most, 3)
        self.assertEqual(len(list((self.folder / "into").iterdir())), 30)

    def test_another_call_writes_the_same_file(self):
        with open(self.folder / "a.part", "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            status, _, err = self.call(self.server.url("a"))
        self.assertEqual((status, err), (1, "download: a: another download writes ./a.part\n"))

    def test_a_full_disk_is_told(self):
        os.symlink("/dev/full", self.folder / "a.part")
        status, _, err = self.call(self.server.url("a"))
        self.assertEqual(status, 1)
        self.assertRegex(err, '^download: a: (truncate|write) "./a.part": ')

    def test_nothing_raw_on_the_terminal(self):
        self.server.answers["/a\x1b"] = [404]
        for url in ("http://h/%1b[31m", "http://h/%0a", "http://h/..", "http://h/a%2fb", "http://h/" + "x" * 201, "http://h/\x1b", "http://h/a b"):
            status, lines, err = self.call(url)
            self.assertEqual((status, lines), (2, []), url)
            self.assertNotIn("\x1b", err)

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["--no-such-option"], ["--into"], ["--into", "/nowhere", "http://h/a"],
                    ["--tries", "0", "http://h/a"], ["--at-a-time", "x", "http://h/a"], ["http://h/a", "http://g/a"],
                    ["http://h/a#sha256=12"], ["http://h/a#sha256="], ["--list", "/nowhere"])
        status, lines, _ = self.call("--help")
        self.assertEqual((status, lines[-1]), (0, "usage: download [options] URL[#sha256=HEX]..."))


@needs("nginx")
class Nginx(unittest.TestCase):
    def test_resumed_by_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = certificate(folder, "localhost")
            port = free_port()
            lines = f"listen 127.0.0.1:{port} ssl http2; ssl_certificate {cert}; ssl_certificate_key {key}; root {{folder}};"
            with nginx("", lines) as (root, _):
                wait_until_listening(port)
                (root / "a").write_bytes(CONTENT)
                (root / "a").chmod(0o644)
                url = f"https://localhost:{port}/a"
                date = subprocess.run(["curl", "-sI", "--cacert", cert, url], capture_output=True, text=True).stdout
                etag = re.search(r"(?im)^etag: (.*?)\r?$", date)[1]
                part = pathlib.Path(folder, "a.part")
                part.write_bytes(CONTENT[:-10])
                pathlib.Path(folder, "a.part.version").write_text(etag)
                done = subprocess.run([PROGRAM, "--trust", cert, url], capture_output=True, text=True, timeout=60, cwd=folder)
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"a: {len(CONTENT)} bytes\n", ""))
                self.assertEqual(pathlib.Path(folder, "a").read_bytes(), CONTENT)
                done = subprocess.run([PROGRAM, url], capture_output=True, text=True, timeout=60, cwd=folder)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn("certificate", done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, "it is not tried again")


if __name__ == "__main__":
    unittest.main()
