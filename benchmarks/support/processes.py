# SPDX-License-Identifier: BSL-1.0
"""What the scripts that measure processes share."""

import os
import pathlib


def cpu_seconds(pid: int) -> float:
    """The processor time of a process and of its children that still run: user and system."""
    total = 0.0
    for each in [pid] + [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]:
        fields = pathlib.Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total
