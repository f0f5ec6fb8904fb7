#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs web_crawler as its users do: web_crawler_test.py PROGRAM

Against its own site, servers that misbehave, and a real nginx where that is installed, whose files find(1) counts.
"""

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from server_process import nginx

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./web_crawler"
DOCUMENTATION = [tree for tree in ("/usr/share/doc/nginx", "/usr/share/doc/libcatch2-dev", "/usr/share/doc/python3",
                                   "/usr/share/doc/git", "/usr/share/doc/cmake-data") if os.path.isdir(tree)]


def crawl(*words, timeout=60):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def number(name, text):
    return int(re.search(rf"^ *{name} +(\d+)", text, re.M)[1])


class OwnSite(unittest.TestCase):
    def test_three_ways_find_the_same(self):
        status, out, err = crawl()
        self.assertEqual(status, 0, err)
        rows = re.findall(r"^(a task per page|one page at a time|a thread per page) +(\d+) +(\d+) +(\d+) ", out, re.M)
        self.assertEqual(len(rows), 3, out)
        self.assertEqual(len({row[1:] for row in rows}), 1, out)
        self.assertEqual((number("pages", out), number("errors", out)), (198, 16))
        for kind, count in {"HTTP 404": 4, "HTTP 500": 4, "cut off": 4, "malformed": 4}.items():
            self.assertEqual(number(kind, out), count)
        self.assertEqual(len(re.findall(r"^http://127", err, re.M)), 16)

    def test_limits(self):
        status, out, _ = crawl("--no-compare", "--depth", "0")
        self.assertEqual((status, number("pages", out)), (0, 1))
        status, out, _ = crawl("--no-compare", "--pages=20", "--summary-only")
        self.assertEqual(status, 0)
        self.assertLessEqual(number("pages", out) + number("errors", out), 20)
        status, out, _ = crawl("--no-compare", "--depth", "1", "--timeout", "0.001")
        self.assertEqual((status, number("timeout", out)), (1, 1))
        status, out, _ = crawl("--no-compare", "--max-bytes", "100", "--summary-only")
        self.assertEqual((status, number("too large", out)), (1, 1))

    def test_json(self):
        status, out, err = crawl("--json", "--no-compare")
        self.assertEqual(status, 0)
        pages = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(sum(page["status"] == 200 and page["error"] is None for page in pages), number("pages", err))
        self.assertEqual(sum(page["error"] is not None for page in pages), number("errors", err))
        self.assertEqual(len({page["url"] for page in pages}), len(pages))
        self.assertEqual(max(page["depth"] for page in pages), 12)  # the trap

    def test_ctrl_c_gives_a_summary(self):
        for words in (["--concurrency", "1", "--summary-only"], []):
            program = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(1.0)
            program.send_signal(signal.SIGINT)
            begin = time.monotonic()
            out, err = program.communicate(timeout=20)
            self.assertLess(time.monotonic() - begin, 5)
            self.assertEqual(program.returncode, 130, err)
            self.assertGreater(number("pages", out), 0)

    def test_progress_on_a_terminal(self):
        ours, theirs = pty.openpty()
        program = subprocess.Popen([PROGRAM, "--no-compare", "--summary-only"], stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            pass
        os.close(ours)
        self.assertEqual(program.wait(), 0)
        self.assertRegex(shown, rb"\d+ pages, \d+ known, \d+ errors, [\d.]+ MB, \d+ pages/s")


class Arguments(unittest.TestCase):
    def test_wrong_ones(self):
        for words, part in {("--nosuch",): "unknown option '--nosuch'", ("--depth",): "--depth needs a value",
                            ("--depth", "x"): "not 'x'", ("--concurrency", "0"): "from 1 on", ("--timeout", "0"): "above 0",
                            ("ftp://x/",): "not an http URL", ("https://x/",): "https is not supported",
                            ("http://",): "no URL", ("http://x:99999/",): "no port"}.items():
            status, out, err = crawl(*words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn(part, err)
            self.assertIn("usage: web_crawler", err)

    def test_help(self):
        status, out, err = crawl("--help")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("--concurrency N", out)


class Server:
    """Answers each path with what `answers` has for it, in pieces if it is a list."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client):
        with client:
            request = client.recv(65536).decode()
            path = request.split(" ")[1] if " " in request else ""
            self.asked.append(path)
            answer = self.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            try:
                for piece in answer if isinstance(answer, list) else [answer]:
                    client.sendall(piece)
                    if isinstance(answer, list):
                        time.sleep(0.02)
            except OSError:
                pass

    def close(self):
        self.socket.close()


def ok(body, headers=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), headers, body)


class Misbehaviour(unittest.TestCase):
    def run_against(self, answers, *words):
        server = Server(answers)
        self.addCleanup(server.close)
        status, out, err = crawl("--json", "--timeout", "2", *words, server.url + "/")
        pages = {page["url"][len(server.url):]: page for page in map(json.loads, out.splitlines())}
        return status, pages, err, server

    def test_each_page_has_its_own_error(self):
        bad = {
            "/garbage": b"\x00\x01\x02 no HTTP at all", "/status": b"HTTP/1.1 abc\r\n\r\n", "/empty": b"",
            "/header": b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            "/length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "/half": b"HTTP/1.1 200 OK\r\nContent-",
            "/chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc",
            "/chunk2": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n0\r\n\r\n",
            "/headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50000, "/huge": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "/endless": [b"HTTP/1.1 200 OK\r\n\r\n"] + [b"x" * 100] * 500,
        }
        links = b"".join(b'<a href="%s">x</a>' % path.encode() for path in bad)
        links += b'<a href="https://secure.test/">s</a><a href="mailto:x@y">m</a><a href="http://other.test/">o</a><a href="/fine">f</a>'
        status, pages, err, _ = self.run_against({"/": ok(links), "/fine": ok(b"fine"), **bad})
        self.assertEqual(status, 0)
        for path in bad:
            self.assertIsNotNone(pages[path]["error"], path)
        self.assertIsNone(pages["/fine"]["error"])
        self.assertEqual(len(pages), len(bad) + 2)
        self.assertEqual(number("https", err), 1)
        self.assertEqual(number("pages", err), 2)

    def test_pieces_redirects_and_robots(self):
        page = b'<!-- <a href="/commented">x</a> --><A class=x HREF=\'deep/../deep/./page?a=1&amp;b=2#part\'>y</A><a href=/old>z</a><a href="/secret/x">s</a><a href="/secret/open">o</a>'
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x;ext=1\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(page), page)
        status, pages, err, server = self.run_against({
            "/": [bytes([byte]) for byte in chunked[:30]] + [chunked[30:]],
            "/robots.txt": ok(b"User-agent: *\nDisallow: /secret/\nAllow: /secret/open\n"),
            "/deep/page?a=1&b=2": b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "/secret/open": ok(b"open"),
            "/old": b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n",
            "/loop": b"HTTP/1.1 302 Found\r\nLocation: /old\r\nContent-Length: 0\r\n\r\n"})
        self.assertEqual(status, 0)
        self.assertEqual(set(pages), {"/", "/deep/page?a=1&b=2", "/old", "/loop", "/secret/open"})
        self.assertEqual(pages["/deep/page?a=1&b=2"]["bytes"], 13)
        self.assertNotIn("/secret/x", server.asked)
        self.assertEqual(number("not allowed", err), 1)
        _, pages, _, _ = self.run_against({"/": ok(page), "/robots.txt": ok(b"User-agent: *\nDisallow: /\n")}, "--ignore-robots")
        self.assertIn("/secret/x", pages)

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        status, out, err = crawl(f"http://127.0.0.1:{port}/", "http://no.such.host.invalid/")
        self.assertEqual((status, number("pages", out), number("errors", out)), (1, 0, 2))
        self.assertIn(f"connect to 127.0.0.1:{port}: Connection refused", err)
        self.assertIn("http://no.such.host.invalid/: ", err)


@unittest.skipUnless(shutil.which("nginx") and DOCUMENTATION, "nginx or documentation is not installed")
class Nginx(unittest.TestCase):
    def test_finds_every_file(self):
        types = "access_log off; types { text/html html; } default_type text/plain;"
        with nginx(types, "root {folder}/root; autoindex on; index nothing;") as (folder, port):
            root = folder / "root"
            root.mkdir()
            for tree in DOCUMENTATION:
                shutil.copytree(tree, root / os.path.basename(tree), symlinks=True,
                                ignore=lambda at, names: [n for n in names if os.path.islink(os.path.join(at, n))])
            for path in root.rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
            status, out, err = crawl("--json", "--depth", "100", f"http://127.0.0.1:{port}/")
            self.assertEqual(status, 0, err)
            found = {page["url"].split("?")[0] for page in map(json.loads, out.splitlines()) if page["status"] == 200}
            there = subprocess.run(["find", root, "(", "-type", "f", "-o", "-type", "d", ")", "-printf", "x"],
                                   capture_output=True, check=True).stdout
            self.assertEqual(len(found), len(there), err)


if __name__ == "__main__":
    unittest.main()
