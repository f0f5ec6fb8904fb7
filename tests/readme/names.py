#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Reads the table of names of include/asynchio/README.md.

    names.py README --compiler CXX --include DIR [--flags "..."]

Each public name of CPython 3.14's asyncio must have a line, and each name of ours in it must be one that a program can use:
a program that declares all of them again is compiled. A line without a name of ours must say why.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

# asyncio.__all__ of CPython 3.14, and what its package gives with a warning.
PUBLIC = """
    ALL_COMPLETED AbstractEventLoop AbstractEventLoopPolicy AbstractServer Barrier BaseEventLoop BaseProtocol BaseTransport
    BoundedSemaphore BrokenBarrierError BufferedProtocol CancelledError Condition DatagramProtocol DatagramTransport
    DefaultEventLoopPolicy Event EventLoop FIRST_COMPLETED FIRST_EXCEPTION FrameCallGraphEntry Future FutureCallGraph Handle
    IncompleteReadError InvalidStateError LifoQueue LimitOverrunError Lock PriorityQueue Protocol Queue QueueEmpty QueueFull
    QueueShutDown ReadTransport Runner SelectorEventLoop Semaphore SendfileNotAvailableError Server StreamReader
    StreamReaderProtocol StreamWriter SubprocessProtocol SubprocessTransport Task TaskGroup Timeout TimeoutError TimerHandle
    Transport WriteTransport _enter_task _get_running_loop _leave_task _register_task _set_running_loop _unregister_task
    all_tasks as_completed capture_call_graph create_eager_task_factory create_subprocess_exec create_subprocess_shell
    create_task current_task eager_task_factory ensure_future format_call_graph future_add_to_awaited_by
    future_discard_from_awaited_by gather get_event_loop get_event_loop_policy get_running_loop iscoroutine
    iscoroutinefunction isfuture new_event_loop open_connection open_unix_connection print_call_graph run
    run_coroutine_threadsafe set_event_loop set_event_loop_policy shield sleep start_server start_unix_server timeout
    timeout_at to_thread wait wait_for wrap_future
""".split()
OF_TEMPLATES = {"future": "future<int>", "task_handle": "task_handle<int>", "queue": "queue<int>"}


def rows(text):
    """Of the table of names, (names of asyncio, names of ours, remark)."""
    table = text.split("| asyncio | asynchio |", 1)[-1]
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3:
            yield *(re.findall(r"`([^`]+)`", cell) for cell in cells[:2]), cells[2]


def program(ours):
    lines = ["#include <asynchio.hpp>", "namespace used {"]
    for number, name in enumerate(ours):
        owner, _, member = name.partition("::")
        if member:
            owner = f"asynchio::{OF_TEMPLATES.get(owner, owner)}"
            lines.append(f"struct use_{number} : {owner} {{ using {owner}::{member}; }};")
        else:
            lines.append(f"using asynchio::{name};")
    return "\n".join([*lines, "}", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readme", type=Path)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--flags", default="")
    options = parser.parse_args()

    found = list(rows(options.readme.read_text(encoding="utf-8")))
    listed = {name for theirs, _, _ in found for name in theirs}
    complaints = [f"asyncio.{name} has no line" for name in PUBLIC if name not in listed]
    complaints += [f"{theirs[0]}: neither a name nor a reason" for theirs, ours, remark in found if not ours and not remark]
    ours = dict.fromkeys(name for _, names, _ in found for name in names)
    flags = [each for each in shlex.split(options.flags) if each.startswith(("-stdlib", "-fexperimental"))]
    # The members are named by classes that derive from ours, also from those that are final.
    command = [options.compiler, "-std=c++20", "-fsyntax-only", "-Dfinal=", f"-I{options.include}", *flags, "-x", "c++", "-"]
    result = subprocess.run(command, input=program(ours), text=True, capture_output=True)
    if result.returncode != 0:
        complaints.append(result.stderr)
    print("\n".join(complaints or [f"{len(PUBLIC)} names of asyncio, {len(ours)} of ours"]))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
