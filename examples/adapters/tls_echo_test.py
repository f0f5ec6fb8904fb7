#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs tls_echo beside Python's ssl and the command openssl: tls_echo_test.py PROGRAM"""

import asyncio
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from server_process import ServerProcess, free_port, wait_until_listening, wrong_usage  # noqa: E402
from tls_files import certificate  # noqa: E402

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./tls_echo"


class TlsEcho(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cert, self.key = certificate(folder.name, "localhost")

    def client(self, port, text, trusted=None, host="localhost"):
        return subprocess.run([PROGRAM, "client", host, str(port), trusted or self.cert], input=text,
                              capture_output=True, text=True, timeout=60)

    def test_its_own_client(self):
        with ServerProcess(PROGRAM, "server", "0", self.cert, self.key) as server:
            done = self.client(server.port, "one\ntwo\n")
            self.assertEqual((done.returncode, done.stdout), (0, "one\ntwo\n"), done.stderr)
            self.assertIn("TLSv1.3", done.stderr)
            self.assertEqual(server.end(), (0, ""))

    def test_python_clients(self):
        context = ssl.create_default_context(cafile=self.cert)

        async def talk(port, size):
            reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
            data = os.urandom(size)
            reading = asyncio.create_task(reader.readexactly(size))
            writer.write(data)
            self.assertEqual(await reading, data)
            writer.close()

        async def all_at_once(port):
            await asyncio.gather(*(talk(port, 20_000 * i) for i in range(40)))

        with ServerProcess(PROGRAM, "server", "0", self.cert, self.key) as server:
            asyncio.run(all_at_once(server.port))
            self.assertEqual(server.end(), (0, ""))

    def test_s_client(self):
        for version in ("-tls1_2", "-tls1_3"):
            with ServerProcess(PROGRAM, "server", "0", self.cert, self.key) as server:
                done = subprocess.run(
                    ["openssl", "s_client", version, "-quiet", "-no_ign_eof", "-verify_return_error", "-CAfile", self.cert,
                     "-connect", f"localhost:{server.port}", "-servername", "localhost"],
                    input="hello\n", capture_output=True, text=True, timeout=60)
                self.assertIn(done.returncode, (0, 1), done.stderr)
                self.assertEqual(server.end(), (0, ""))
            with ServerProcess(PROGRAM, "server", "0", self.cert, self.key) as server:
                old = subprocess.run(["openssl", "s_client", "-tls1_1", "-connect", f"localhost:{server.port}"],
                                     input="", capture_output=True, text=True, timeout=60)
                self.assertNotEqual(old.returncode, 0)

    def test_s_server(self):
        for version in ("-tls1_2", "-tls1_3"):
            port = free_port()
            other = subprocess.Popen(["openssl", "s_server", version, "-rev", "-accept", f"127.0.0.1:{port}", "-cert",
                                      self.cert, "-key", self.key], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until_listening(port)
                done = self.client(port, "hello\nworld\n")
                self.assertEqual((done.returncode, done.stdout), (0, "olleh\ndlrow\n"), done.stderr)
            finally:
                other.kill()
                other.wait()

    def test_server_of_python(self):
        async def echo(reader, writer):
            writer.write(await reader.read(100_000))
            await writer.drain()
            writer.close()

        ready, ports = threading.Event(), []

        async def serve():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.cert, self.key)
            server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
            ports.append(server.sockets[0].getsockname()[1])
            stop = asyncio.Event()
            ports.append((asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            self.assertTrue(ready.wait(20))
            # Python's asyncio ends a TLS connection whose other half ends: so the answer is read first.
            with subprocess.Popen([PROGRAM, "client", "localhost", str(ports[0]), self.cert], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
                client.stdin.write("hello\n")
                client.stdin.flush()
                self.assertEqual(client.stdout.readline(), "hello\n")
                client.communicate(timeout=60)
        finally:
            loop, stop = ports[1]
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    def test_new_certificate(self):
        def serial(port):
            pem = ssl.get_server_certificate(("localhost", port))
            return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True).stdout

        with ServerProcess(PROGRAM, "server", "0", self.cert, self.key) as server:
            before = serial(server.port)
            context = ssl.create_default_context(cafile=self.cert)
            with context.wrap_socket(server.connect(), server_hostname="localhost") as old:
                with tempfile.TemporaryDirectory() as folder:
                    cert, key = certificate(folder, "localhost")
                    shutil.copy(cert, self.cert)
                    server.process.send_signal(signal.SIGHUP)
                    self.assertIn("the old certificate stays", server.process.stderr.readline())
                    self.assertEqual(serial(server.port), before)
                    shutil.copy(key, self.key)
                server.process.send_signal(signal.SIGHUP)
                self.assertEqual(server.process.stderr.readline(), "tls_echo: new certificate\n")
                self.assertNotEqual(serial(server.port), before)
                old.sendall(b"still here")
                self.assertEqual(old.recv(100), b"still here")
            self.assertEqual(server.end(), (0, ""))

    def test_who_is_not_trusted(self):
        with ServerProcess(PROGRAM, "server", "0", self.cert, self.key) as server:
            done = self.client(server.port, "", host="127.0.0.1")
            self.assertEqual(done.returncode, 1)
            self.assertIn("IP address mismatch", done.stderr)
            with tempfile.TemporaryDirectory() as folder:
                other, _ = certificate(folder, "localhost")
                done = self.client(server.port, "", trusted=other)
            self.assertEqual(done.returncode, 1)
            self.assertIn("certificate verify failed", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_the_client_ends_with_ctrl_c_while_it_waits_for_a_line(self):
        with ServerProcess(PROGRAM, "server", "0", self.cert, self.key) as server:
            with subprocess.Popen([PROGRAM, "client", "localhost", str(server.port), self.cert], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
                client.stdin.write("hello\n")
                client.stdin.flush()
                self.assertEqual(client.stdout.readline(), "hello\n")
                client.send_signal(signal.SIGINT)
                self.assertEqual(client.wait(timeout=60), -signal.SIGINT)
            self.assertEqual(server.end(), (0, ""))

    def test_plain_clients_and_the_end(self):
        with ServerProcess(PROGRAM, "server", "0", self.cert, self.key) as server:
            with server.connect() as mute, server.connect() as plain:
                plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while plain.recv(1000):
                    pass
                self.assertEqual(server.end()[0], 0)
                mute.close()

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["server"], ["server", "x", "a", "b"], ["client", "localhost"],
                    ["client", "localhost", "0"], ["client", "localhost", "70000"], ["other", "0", "a", "b"])

    def test_files_that_are_not_there(self):
        done = subprocess.run([PROGRAM, "server", "0", "/nowhere.pem", self.key], capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("/nowhere.pem", done.stderr)


if __name__ == "__main__":
    unittest.main()
