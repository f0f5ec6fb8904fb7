# SPDX-License-Identifier: BSL-1.0
"""Which asyncio is asked: this Python's own from 3.13 on, else that of CPython 3.13, pure Python, from Debian's package."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FETCH = Path(__file__).with_name("fetch_asyncio.sh")


def use_asyncio(folder):
    """Makes `import asyncio` give the reference. Returns nothing if it can, else why it cannot."""
    if sys.version_info >= (3, 13):
        return None
    if sys.version_info < (3, 11):
        return "the reference needs Python 3.11 or newer"
    home = Path(folder) / "asyncio-3.13"
    if not (home / "asyncio" / "__init__.py").is_file():
        problem = _fetch(home)
        if problem:
            return problem
    sys.path.insert(0, str(home))
    sys.modules["_asyncio"] = None  # the accelerators are of this Python's own asyncio
    return None


def _fetch(home):
    home.parent.mkdir(parents=True, exist_ok=True)
    made = tempfile.mkdtemp(dir=home.parent)
    try:
        run = subprocess.run([str(FETCH), made], capture_output=True, text=True, timeout=300)
        if run.returncode != 0:
            last = (run.stderr.strip().splitlines() or ["no message"])[-1]
            return f"CPython 3.13's asyncio is not here and Debian's libpython3.13-stdlib cannot be had: {last}"
        os.chmod(made, 0o755)
        os.rename(made, home)
    except (OSError, subprocess.TimeoutExpired) as error:
        if not (home / "asyncio" / "__init__.py").is_file():  # else another test was faster
            return f"CPython 3.13's asyncio is not here and cannot be fetched: {error}"
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return None
