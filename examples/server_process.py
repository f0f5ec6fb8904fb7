# SPDX-License-Identifier: BSL-1.0
"""For the behaviour tests of servers: a program that prints where it listens, and is ended at the end."""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest


class ServerProcess:
    """`with ServerProcess(PROGRAM, *words) as server:` has .port, and .end() -> (exit status, rest of its output)."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.search(r"(\d+)/?\s*$", line)
        if not match:
            raise RuntimeError(f"{command} does not listen: {line}{self.process.communicate(timeout=5)[1]}")
        self.port = int(match[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return client

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out + err


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_until_listening(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nobody listens at port {port}")


@contextlib.contextmanager
def nginx(http, server):
    """A real nginx with one worker, whose blocks `http` and `server` have these lines; {folder} stands for its folder.
    Yields its folder and port."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # the worker is another user
        port = free_port()
        temporary = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        pathlib.Path(folder, "conf").write_text(
            f"daemon off; pid {folder}/pid; error_log /dev/null; events {{}}\n"
            f"http {{ {temporary} {http}\nserver {{ listen 127.0.0.1:{port}; {server} }} }}\n".replace("{folder}", folder))
        process = subprocess.Popen(["nginx", "-c", folder + "/conf", "-p", folder], stderr=subprocess.DEVNULL)
        try:
            wait_until_listening(port)
            yield pathlib.Path(folder), port
        finally:
            process.terminate()
            process.wait()


def needs(program):
    """Skips a test without a program, which then fails where everything must be tested."""
    there = shutil.which(program) or "ASYNCHIO_ADAPTERS_REQUIRED" in os.environ
    return unittest.skipUnless(there, f"{program} is not installed")


POSTGRES = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@contextlib.contextmanager
def postgres():
    """A real PostgreSQL, as a user without privileges. Yields the folder of its Unix socket; the user is tester."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        other = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run([POSTGRES[-1].with_name("initdb"), "-D", folder + "/data", "-U", "tester", "-A", "trust", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/", **other)
        process = subprocess.Popen([POSTGRES[-1], "-D", folder + "/data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **other)
        try:
            end = time.monotonic() + 60
            while subprocess.run([POSTGRES[-1].with_name("pg_isready"), "-q", "-h", folder]).returncode != 0:
                if time.monotonic() > end or process.poll() is not None:
                    raise RuntimeError("postgres does not start")
                time.sleep(0.02)
            yield folder
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()


def wrong_usage(test, program, *lines):
    """Each of `lines` is wrong: usage on standard error, nothing else, exit status 2."""
    for words in lines:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=20)
        test.assertEqual((done.returncode, done.stdout), (2, ""), words)
        test.assertIn("usage: ", done.stderr, words)
