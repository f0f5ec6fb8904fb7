#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs sqlite_notes beside Python's sqlite3: sqlite_notes_test.py PROGRAM"""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from server_process import wrong_usage  # noqa: E402

PROGRAM = os.path.abspath(sys.argv.pop(1) if len(sys.argv) > 1 else "./sqlite_notes")


class SqliteNotes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "notes.db"

    def call(self, *words):
        return subprocess.run([PROGRAM, *words], capture_output=True, timeout=60, cwd=self.folder)

    def good(self, *words):
        done = self.call(*words)
        self.assertEqual((done.returncode, done.stderr), (0, b""), words)
        return done.stdout.decode()

    def bad(self, *words, says):
        done = self.call(*words)
        self.assertEqual((done.returncode, done.stdout), (1, b""), words)
        text = done.stderr.decode()
        self.assertRegex(text, "^sqlite_notes: ")
        self.assertEqual(text.count("\n"), 1, text)
        self.assertIn(says, text)

    def start(self, *words):
        """Starts the program, and waits until it has opened its file."""
        process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        end = time.monotonic() + 60
        while process.poll() is None:
            self.assertLess(time.monotonic(), end)
            for each in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if os.readlink(each) == str(self.file.resolve()):
                        return process
        return process

    @contextlib.contextmanager
    def locked(self):
        other = sqlite3.connect(self.file, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
        other.close()

    def exported(self):
        return [json.loads(line)["text"] for line in self.good("export").splitlines()]

    def test_every_command(self):
        self.assertEqual(self.good("add", "buy milk"), "1\n")
        self.assertEqual(self.good("add", "buy 100% juice"), "2\n")
        self.assertEqual(self.good("add", "call a_b\nbring MILK"), "3\n")
        self.assertEqual(self.good("list"),
                         "     1  buy milk\n     2  buy 100% juice\n     3  call a_b\n        bring MILK\n")
        for words, found in ((["milk"], [1, 3]), (["milk", "buy"], [1]), (["%"], [2]), (["_"], [3]), (["\\"], []),
                             (["none"], []), (["'"], [])):
            lines = self.good("search", *words).splitlines()
            self.assertEqual([int(line[:6]) for line in lines if line[:6].strip()], found, words)
        self.assertEqual(self.good("remove", "2"), "")
        self.bad("remove", "2", says="there is no note 2")
        self.assertEqual(self.good("add", "new"), "4\n")
        self.assertEqual(self.exported(), ["buy milk", "call a_b\nbring MILK", "new"])
        self.assertRegex(json.loads(self.good("export").splitlines()[0])["added"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(sqlite3.connect(self.file).execute("SELECT count(*) FROM notes").fetchone(), (3,))

    def test_all_kinds_of_text(self):
        texts = ["it's \"quoted\"", "'); DROP TABLE notes; --", "-- no comment", "a\n\n b\r\n\tc\\", "\x01\x1b[31m\x7f",
                 "Grüße, κόσμε, 世界, 🙂, e\u0301", "x" * 100_000, " ", "--file"]
        for text in texts:
            self.good("add", text)
        self.assertEqual(self.exported(), texts)
        self.bad("search", "x" * 100_000, says="LIKE or GLOB pattern too complex")
        texts[texts.index("x" * 100_000)] = "x" * 20_000
        for number, text in enumerate(texts, 1):
            self.assertTrue(any(line.startswith(f"{number:6}  ") for line in self.good("search", text).splitlines()), text)
        self.assertNotIn("\x1b", self.good("list"))
        for wrong in (b"\xff", b"a\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
            self.bad("add", wrong, says="not in UTF-8")

    def test_another_file(self):
        self.good("--file", "other.db", "add", "there")
        self.assertFalse(self.file.exists())
        self.bad("list", says="unable to open database file: notes.db")
        self.assertFalse(self.file.exists())
        self.assertEqual(self.good("--file", "other.db", "list"), "     1  there\n")
        self.bad("--file", "nowhere/x.db", "add", "x", says="unable to open database file: nowhere/x.db")
        self.bad("--file", ".", "add", "x", says="unable to open database file: .")

    def test_several_processes_at_once(self):
        script = "for i in 1 2 3 4 5 6 7 8 9 10; do \"$0\" add \"$1 $i\" || exit 1; done"
        writers = [subprocess.Popen(["sh", "-c", script, PROGRAM, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    cwd=self.folder) for name in "abcd"]
        for each in writers:
            _, errors = each.communicate(timeout=60)
            self.assertEqual((each.returncode, errors), (0, b""))
        self.assertEqual(sorted(self.exported()), sorted(f"{name} {i}" for name in "abcd" for i in range(1, 11)))

    def test_files_of_others(self):
        self.file.write_bytes(b"no database at all" * 100)
        self.bad("list", says="file is not a database: notes.db")
        self.bad("add", "x", says="file is not a database: notes.db")
        self.assertEqual(self.file.read_bytes(), b"no database at all" * 100)
        self.file.unlink()
        other = sqlite3.connect(self.file)
        other.execute("CREATE TABLE notes(text)")
        other.close()
        for words in (["add", "x"], ["list"], ["remove", "1"]):
            self.bad(*words, says="notes.db is a database of another program")

    def test_a_damaged_file(self):
        for i in range(50):
            self.good("add", str(i) * 100)
        data = bytearray(self.file.read_bytes())
        data[4096:] = b"\xa5" * (len(data) - 4096)
        self.file.write_bytes(data)
        self.bad("list", says="database disk image is malformed: notes.db")

    def test_an_empty_file(self):
        self.file.touch()
        self.assertEqual(self.good("list"), "")
        self.assertEqual(self.good("search", "x"), "")
        self.bad("remove", "1", says="there is no note 1")
        self.assertEqual(self.good("add", "x"), "1\n")

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_a_folder_that_is_read_only(self):
        self.good("add", "x")
        os.chmod(self.file, 0o400)
        os.chmod(self.folder, 0o500)
        try:
            self.assertEqual(self.good("list"), "     1  x\n")
            self.assertEqual(self.good("search", "x"), "     1  x\n")
            self.bad("add", "y", says="attempt to write a readonly database: notes.db")
            self.bad("--file", "other.db", "add", "y", says="unable to open database file: other.db")
        finally:
            os.chmod(self.folder, 0o700)

    def test_a_lock_that_is_released_in_time(self):
        self.good("add", "first")
        with self.locked():
            waiting = [self.start("add", "second"), self.start("list")]
        for each in waiting:
            self.assertEqual((each.wait(timeout=60), each.stderr.read()), (0, b""))
        self.assertEqual(self.exported(), ["first", "second"])

    def test_a_lock_that_stays(self):
        self.good("add", "first")
        with self.locked():
            self.bad("add", "second", says="database is locked: notes.db")
        self.assertEqual(self.exported(), ["first"])

    def test_ctrl_c_while_it_waits(self):
        self.good("add", "first")
        with self.locked():
            for words in (["add", "second"], ["list"], ["remove", "1"]):
                process = self.start(*words)
                process.send_signal(signal.SIGINT)
                self.assertEqual((process.wait(timeout=60), process.stdout.read(), process.stderr.read()), (130, b"", b""))
        self.assertEqual(self.exported(), ["first"])

    def test_output_that_cannot_be_written(self):
        self.good("add", "x")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "list"], stdout=full, stderr=subprocess.PIPE, timeout=60, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (1, b"sqlite_notes: standard output cannot be written\n"))

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["help"], ["add"], ["add", "a", "b"], ["add", ""], ["list", "x"], ["search"],
                    ["remove"], ["remove", "x"], ["remove", "0"], ["remove", "-1"], ["remove", "1x"],
                    ["remove", "9" * 30], ["export", "x"], ["--file"], ["--file", "x"], ["--file", "", "list"])


if __name__ == "__main__":
    unittest.main()
