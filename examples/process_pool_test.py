#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs process_pool as its users do: process_pool_test.py PROGRAM"""

import os
import signal
import subprocess
import sys
import time
import unittest

from server_process import wrong_usage

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./process_pool"
LARGE_PRIME = "18446744073709551557"  # takes some seconds


def run(*words, **options):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, **options)
    return done.returncode, done.stdout, done.stderr


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it does not come")
        time.sleep(0.01)


class Pool(unittest.TestCase):
    def test_many_jobs_from_standard_input_stay_in_order(self):
        numbers = [str(n) for n in range(2, 1002)]
        status, out, err = run("--workers", "3", input="\n".join(numbers) + "\n\n")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual([line.split(":")[0] for line in lines], numbers)
        self.assertEqual(lines[358], "360: 2 2 2 3 3 5")
        self.assertEqual(run(input=""), (0, "", ""))

    def test_every_crash_is_survived(self):
        status, out, _ = run("--workers", "2", *["once", "abort", "15"] * 20)
        self.assertEqual(status, 1)
        self.assertEqual(out.splitlines(), ["once: this worker came after the one that crashed",
                                            "abort: its worker was killed by signal 6, twice", "15: 3 5"] * 20)

    def test_what_is_no_number(self):
        status, out, _ = run("1", "x", "12x", "99999999999999999999999", "4")
        self.assertEqual(status, 0)
        self.assertEqual([line.split(": ")[1] for line in out.splitlines()[:3]], ["is no number from 2 on"] * 3)
        self.assertEqual(out.splitlines()[4], "4: 2 2")

    def test_a_worker_that_is_killed_is_replaced(self):
        with subprocess.Popen([PROGRAM, "--workers", "1", LARGE_PRIME, "6"], stdout=subprocess.PIPE, text=True) as pool:
            wait_until(lambda: children(pool.pid))
            first = children(pool.pid)[0]
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: children(pool.pid) and children(pool.pid)[0] != first)
            os.kill(children(pool.pid)[0], signal.SIGKILL)
            out, _ = pool.communicate(timeout=60)
        self.assertEqual(out.splitlines(), [f"{LARGE_PRIME}: its worker was killed by signal 9, twice", "6: 2 3"])

    def test_ctrl_c_ends_the_workers(self):
        with subprocess.Popen([PROGRAM, "--workers", "2", *[LARGE_PRIME] * 4], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as pool:
            wait_until(lambda: len(children(pool.pid)) == 2)
            workers = children(pool.pid)
            pool.send_signal(signal.SIGINT)
            out, err = pool.communicate(timeout=60)
        self.assertEqual((pool.returncode, out, err), (130, "", "process_pool: interrupted\n"))
        for each in workers:
            self.assertFalse(os.path.exists(f"/proc/{each}"))

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, ["--workers"], ["--workers", "0", "5"], ["--workers", "x", "5"], ["--worker", "2"], ["-w"])


if __name__ == "__main__":
    unittest.main()
