#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs https_get with a real nginx: https_get_test.py PROGRAM"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from server_process import free_port, nginx, wait_until_listening, wrong_usage  # noqa: E402
from tls_files import certificate  # noqa: E402

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "./https_get"


class Get(unittest.TestCase):
    def get(self, host, port, trusted):
        return subprocess.run([PROGRAM, host, str(port)], env={**os.environ, "SSL_CERT_FILE": trusted},
                              capture_output=True, text=True, timeout=60)

    def test_nginx(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = certificate(folder, "localhost")
            port = free_port()
            lines = (f"listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key};"
                     "location / { return 200 'by TLS '; }")
            with nginx("", lines):
                wait_until_listening(port)
                done = self.get("localhost", port, cert)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("HTTP/1.1 200 OK", done.stdout)
                self.assertTrue(done.stdout.endswith("by TLS "))
                refused = self.get("localhost", port, "/dev/null")
                self.assertEqual((refused.returncode, refused.stdout), (1, ""))
                self.assertIn("certificate verify failed: self-signed certificate", refused.stderr)

    def test_nobody_listens(self):
        done = self.get("localhost", free_port(), "/dev/null")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Connection refused", done.stderr)

    def test_wrong_usage(self):
        wrong_usage(self, PROGRAM, [], ["a", "b"], ["a", "1", "c"])


if __name__ == "__main__":
    unittest.main()
