#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs search_files as its users do: search_files_test.py PROGRAM

Its lines are those of `grep -rnI -F`, but for a blank after the line's number, and for text files with a NUL byte far
from their beginning: grep prints what comes before it, search_files skips the file.
"""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./search_files"
with open(PROGRAM, "rb") as program:
    INSTRUMENTED = re.search(rb"__[at]san_init|__llvm_profile|__gcov_", program.read()) is not None
# A sanitized program is some ten times slower, and sleeps before it ends.
BIG_TREES = ["/usr/include/c++"] if INSTRUMENTED else ["/usr/include", "/usr/share/doc"]
BIG_TREES = [tree for tree in BIG_TREES if os.path.isdir(tree)]
INTERRUPT_SECONDS = 10 if INSTRUMENTED else 0.1
ENVIRONMENT = {**os.environ, "LC_ALL": "C"}


def search(*words, **options):
    """(exit status, lines of standard output, text of standard error)"""
    done = subprocess.run([PROGRAM, *words], capture_output=True, timeout=60, env=ENVIRONMENT, **options)
    return done.returncode, sorted(done.stdout.split(b"\n")[:-1]), done.stderr.decode(errors="replace")


def start(*words, **options):
    return subprocess.Popen([PROGRAM, *words], stderr=subprocess.PIPE, env=ENVIRONMENT, **options)


def grep(text, tree):
    done = subprocess.run(["grep", "-rnI", "-F", "--", text, tree], capture_output=True, env=ENVIRONMENT, check=False)
    lines = [re.sub(rb"^([^:]*:\d+:)", rb"\1 ", line) for line in done.stdout.split(b"\n")[:-1]]
    with_nul = {path for path in {line.split(b":")[0] for line in lines} if has_nul(path)}
    return sorted(line for line in lines if line.split(b":")[0] not in with_nul)


def has_nul(path):
    with open(path, "rb") as file:
        return b"\0" in file.read()


class Tree(unittest.TestCase):
    """Each test has a directory of its own."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = holder.name
        os.chmod(self.root, 0o755)

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)


class Results(Tree):
    def test_lines_and_numbers(self):
        path = self.write("a", b"one\ntwo needle\n\nneedle needle\r\nlast needle")
        status, lines, errors = search("needle", self.root)
        expected = [f"{path}:2: two needle", f"{path}:4: needle needle\r", f"{path}:5: last needle"]
        self.assertEqual((status, [line.decode() for line in lines]), (0, expected))
        self.assertIn("3 matches in 1 file", errors)

    def test_matches_at_the_borders_of_pieces(self):
        for size in range(65530, 65542):
            for shift in range(8):
                self.write("a", b"x" * (size - shift) + b"needle\n" + b"y" * 100000 + b"\nneedle")
                _, lines, _ = search("needle", self.root)
                self.assertEqual([line.split(b":")[1] for line in lines], [b"1", b"3"])

    def test_very_long_line(self):
        self.write("a", b"\n" + b"x" * 3000000 + b"needle" + b"x" * 3000000 + b"\nneedle\n")
        _, lines, _ = search("needle", self.root)
        self.assertEqual([(line.split(b":")[1], len(line.split(b": ")[1])) for line in lines], [(b"2", 6000006), (b"3", 6)])

    def test_empty_tree_and_file(self):
        self.write("empty", b"")
        self.assertEqual(search("needle", self.root)[:2], (1, []))

    def test_binary_files_are_counted(self):
        self.write("early", b"\0needle\n")
        self.write("late", b"needle\n" * 100000 + b"\0")
        status, lines, errors = search("needle", self.root)
        self.assertEqual((status, lines), (1, []))
        self.assertIn("2 binary skipped", errors)

    def test_links_inside_are_not_followed(self):
        self.write("sub/a", b"needle\n")
        os.symlink("..", self.path("sub/loop"))
        os.symlink("a", self.path("sub/link"))
        self.assertEqual(len(search("needle", self.root)[1]), 1)
        self.assertEqual(len(search("needle", self.path("sub/link"))[1]), 1)

    def test_same_as_grep(self):
        if shutil.which("grep") is None:
            self.skipTest("there is no grep")
        for tree in BIG_TREES:
            for text in ("license", "co_await", "#include <"):
                _, lines, _ = search(text, tree)
                expected = grep(text, tree)
                self.assertEqual(len(lines), len(expected))
                self.assertTrue(lines == expected, f"{text} in {tree}")

    def test_all_modes_agree(self):
        for tree in BIG_TREES:
            status, lines, errors = search("--compare", "license", tree)
            self.assertEqual((status, errors), (0, ""))
            self.assertEqual({line.split()[0] for line in lines}, {b"mode", b"sequential", b"threads", b"async"})
        results = [search("--mode", mode, "--workers", "3", "task", ".")[:2] for mode in ("sequential", "threads", "async")]
        self.assertTrue(results[0] == results[1] == results[2])


class Trouble(Tree):
    def test_missing_path(self):
        self.write("a", b"needle\n")
        status, lines, errors = search("needle", self.path("nowhere"), self.root)
        self.assertEqual((status, len(lines)), (2, 1))
        self.assertIn("nowhere: No such file or directory\n", errors)

    def test_unreadable_file_and_directory(self):
        self.write("a", b"needle\n")
        os.chmod(self.write("secret", b"needle\n"), 0)
        self.write("locked/b", b"needle\n")
        os.chmod(self.path("locked"), 0)
        self.addCleanup(os.chmod, self.path("locked"), 0o700)
        options = {}
        if os.getuid() == 0:  # who may read everything
            shutil.copy(PROGRAM, self.path("program"))
            options = {"preexec_fn": lambda: os.setuid(65534), "executable": self.path("program")}
        status, lines, errors = search("needle", self.path(""), **options)
        self.assertEqual((status, len(lines)), (2, 1))
        self.assertIn("secret: Permission denied\n", errors)
        self.assertIn("locked: Permission denied\n", errors)
        self.assertEqual(errors.count("\n"), 3)

    def test_read_error(self):
        if not os.path.exists("/proc/self/mem"):
            self.skipTest("there is no /proc")
        status, _, errors = search("needle", "/proc/self/mem")
        self.assertEqual(status, 2)
        self.assertIn("/proc/self/mem: Input/output error\n", errors)

    def test_a_read_that_hangs_is_left_behind(self):
        self.write("a", b"needle\n")
        os.mkfifo(self.path("hangs"))
        begin = time.monotonic()
        status, lines, errors = search("--timeout", "0.2", "needle", self.path("hangs"), self.root)
        self.assertEqual((status, len(lines)), (2, 1))
        self.assertIn("hangs: timed out\n", errors)
        self.assertLess(time.monotonic() - begin, 5)

    def test_many_reads_that_hang(self):
        self.write("a", b"needle\n")
        fifos = [self.path(f"hangs{i}") for i in range(20)]
        for fifo in fifos:
            os.mkfifo(fifo)
        status, lines, errors = search("--workers", "2", "--timeout", "0.05", "needle", *fifos, self.root)
        self.assertEqual((status, len(lines), errors.count("timed out")), (2, 1, 20))

    def test_too_many_reads_that_hang(self):
        fifos = [self.path(f"hangs{i}") for i in range(100)]
        for fifo in fifos:
            os.mkfifo(fifo)
        status, _, errors = search("--workers", "10", "--timeout", "0.05", "needle", *fifos)
        self.assertEqual(status, 2)
        self.assertIn("search_files: 65 reads hang; giving up\n", errors)

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("there is no /dev/full")
        self.write("a", b"needle\n")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "needle", self.root], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stderr), (2, b"search_files: standard output: No space left on device\n"))

    def test_nobody_reads_any_more(self):
        self.write("a", b"needle\n" * 100000)
        for mode in ("async", "threads", "sequential"):
            process = start("--mode", mode, "needle", *[self.root] * 3, stdout=subprocess.PIPE)
            process.stdout.readline()
            process.stdout.close()
            self.assertIn(process.wait(timeout=10), (141, -signal.SIGPIPE))
            self.assertEqual(process.stderr.read(), b"")
            process.stderr.close()

    def test_bad_arguments(self):
        for words, reason in (
            ([], "TEXT is missing"),
            ([""], "TEXT must not be empty"),
            (["a\nb"], "line break"),
            (["--what", "x"], "unknown option '--what'"),
            (["--workers"], "needs a value"),
            (["--workers", "0", "x"], "'0'"),
            (["--workers", "1e3", "x"], "'1e3'"),
            (["--timeout", "-1", "x"], "'-1'"),
            (["--timeout=nan", "x"], "'nan'"),
            (["--timeout", "", "x"], "''"),
            (["--timeout", "1", "--mode", "threads", "x"], "--mode async"),
            (["--mode", "fast", "x"], "'fast'"),
        ):
            status, lines, errors = search(*words)
            self.assertEqual((status, lines), (2, []), words)
            self.assertIn(reason, errors)
            self.assertIn("usage: ", errors)

    def test_options_end(self):
        self.write("a", b"--help\n")
        self.assertEqual(len(search("--", "--help", self.root)[1]), 1)
        self.assertEqual(search("--help")[0], 0)


class Interrupt(Tree):
    def interrupt(self, process):
        """Sends Ctrl-C. @return seconds it took, what it said."""
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=30)
        took = time.monotonic() - begin
        said = process.stderr.read().decode()
        process.stderr.close()
        self.assertEqual(status, 130)
        self.assertRegex(said, r"search_files: interrupted: [\d,]+ match(es)? in [\d,]+ files?")
        return took

    def in_time(self, start_process):
        """The machine may be busy: one of three."""
        self.assertLess(min(self.interrupt(start_process()) for _ in range(3)), INTERRUPT_SECONDS)

    def test_in_a_big_tree(self):
        def start_process():
            process = start("e", "/usr", stdout=subprocess.DEVNULL)
            time.sleep(0.1)
            return process

        self.in_time(start_process)

    def test_while_a_read_hangs(self):
        os.mkfifo(self.path("hangs"))

        def start_process():
            process = start("needle", self.path("hangs"), stdout=subprocess.DEVNULL)
            time.sleep(0.1)
            return process

        self.in_time(start_process)

    def test_while_the_reader_of_its_output_pauses(self):
        self.write("a", b"needle\n" * 100000)
        pipes = []

        def start_process():
            process = start("needle", self.root, stdout=subprocess.PIPE)
            pipes.append(process.stdout)
            process.stdout.read(1)
            time.sleep(0.1)
            return process

        self.in_time(start_process)
        for pipe in pipes:
            pipe.close()


class Terminal(Tree):
    def test_bar_is_not_among_the_lines(self):
        self.write("a", b"needle\n" * 1000)
        os.mkfifo(self.path("hangs"))
        main, terminal = pty.openpty()
        words = ["--timeout", "0.6", "needle", self.path("hangs"), self.root]
        process = subprocess.Popen([PROGRAM, *words], stdout=terminal, stderr=terminal)
        os.close(terminal)
        text = b""
        try:
            while part := os.read(main, 65536):
                text += part
        except OSError:  # the end, on Linux
            pass
        os.close(main)
        self.assertEqual(process.wait(timeout=10), 2)
        self.assertIn(b"\r[===", text)
        kept = re.sub(rb"\r\[[^\r\n]*\x1b\[K|\r\x1b\[K", b"", text).replace(b"\r\n", b"\n").decode().splitlines()
        self.assertEqual(sum(line.endswith(": needle") for line in kept), 1000)
        self.assertTrue(all(re.match(r"/|search_files: |asynchio: ", line) for line in kept), kept)
        self.assertTrue(kept[-1].startswith("search_files: 1,000 matches"))


if __name__ == "__main__":
    unittest.main()
