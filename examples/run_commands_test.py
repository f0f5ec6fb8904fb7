#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs run_commands as its users do: run_commands_test.py PROGRAM"""

import signal
import subprocess
import sys
import time
import unittest

from server_process import wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./run_commands"


def run(*words, **options):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, **options)
    return done.returncode, done.stdout, done.stderr


class Commands(unittest.TestCase):
    def test_lines_are_never_mixed(self):
        status, out, _ = run("--jobs", "8", *["for i in 1 2 3 4 5 6 7 8 9; do printf aaa; printf 'bbb\\n'; done"] * 20)
        self.assertEqual(status, 0)
        lines = out.splitlines()
        self.assertEqual(len(lines), 180)
        self.assertEqual({line.split(" ")[1] for line in lines}, {"aaabbb"})

    def test_so_many_at_a_time(self):
        begin = time.monotonic()
        self.assertEqual(run("--jobs", "10", *["sleep 0.5"] * 10)[0], 0)
        self.assertLess(time.monotonic() - begin, 4)

    def test_commands_from_standard_input(self):
        self.assertEqual(run("--jobs", "1", input="echo one\n\necho two\n"), (0, "1: one\n2: two\n", ""))
        self.assertEqual(run(input=""), (0, "", ""))

    def test_timeout(self):
        begin = time.monotonic()
        status, out, _ = run("--timeout", "0.2", "sleep 60", "echo quick")
        self.assertEqual((status, sorted(out.splitlines())), (1, ["1 took longer than 0.2 s: sleep 60", "2: quick"]))
        self.assertLess(time.monotonic() - begin, 10)

    def test_who_is_asked_to_terminate_may_say_goodbye(self):
        polite = "trap 'echo goodbye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
        stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
        begin = time.monotonic()
        status, out, _ = run("--timeout", "0.5", "--grace", "0.5", polite, stubborn)
        self.assertEqual(status, 1)
        self.assertEqual(sorted(out.splitlines()), sorted(["1: ready", "2: ready", f"1 took longer than 0.5 s: {polite}",
                                                           f"2 took longer than 0.5 s: {stubborn}"]))
        self.assertLess(time.monotonic() - begin, 10)

    def test_lines_without_end_come_in_pieces(self):
        status, out, _ = run("--jobs", "1", "head -c 3000000 /dev/zero | tr '\\0' x; echo; printf end")
        pieces = out.splitlines()
        self.assertEqual((status, len(pieces), pieces[-1]), (0, 4, "1: end"))
        self.assertEqual("".join(piece.removeprefix("1: ") for piece in pieces[:3]), "x" * 3000000)

    def test_ctrl_c_ends_the_commands_and_what_they_have_started(self):
        program = subprocess.Popen([PROGRAM, "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        child = int(program.stdout.readline().split()[1])
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=20)
        self.assertEqual((program.returncode, err), (130, "run_commands: interrupted\n"))
        for _ in range(100):  # until init has reaped it
            try:
                with open(f"/proc/{child}/stat", encoding="ascii") as stat:
                    if stat.read().rpartition(")")[2].split()[0] == "Z":
                        break
            except OSError:
                break
            time.sleep(0.05)
        else:
            self.fail("the command still runs")

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, ["--jobs"], ["--jobs", "0", "x"], ["--nosuch", "1"], ["--timeout", "x", "y"])


if __name__ == "__main__":
    unittest.main()
