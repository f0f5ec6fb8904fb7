# SPDX-License-Identifier: BSL-1.0
"""For the behaviour tests of programs with TLS: certificates, made by the command openssl."""

import subprocess


def certificate(folder, name):
    """The names of a self-signed certificate for the host `name` and of its key, in the folder."""
    cert, key = folder + "/cert.pem", folder + "/key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
         "-addext", "subjectAltName=DNS:" + name, "-days", "2", "-keyout", key, "-out", cert],
        check=True, capture_output=True, timeout=60)
    return cert, key
