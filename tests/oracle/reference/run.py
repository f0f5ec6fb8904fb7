# SPDX-License-Identifier: BSL-1.0
"""Runs one program from its beginning to what run() does after main has ended."""

import asyncio
import contextvars
import sys
import warnings
from asyncio import CancelledError

from reference import blocks, object_calls, streams, waits  # noqa: F401 (their statements are registered)
from reference.virtual_loop import INTERNAL, virtual_loop
from reference.world import describe, state, world

GUARD = 10_000  # seconds after which whatever still waits is cancelled
HOPELESS = 14  # so many times, then the program is given up
REPORTED = ("Exception in callback", "unhandled exception during asyncio.run() shutdown", "closing of asynchronous")

warnings.simplefilter("ignore")
sys.unraisablehook = lambda unraisable: None


def run_program(program):
    """The lines of its trace."""
    loop = virtual_loop()
    asyncio.set_event_loop(loop)
    w = world(program, loop)
    w.streams = [streams.pipe(loop), streams.pipe(loop)]
    loop.set_exception_handler(lambda loop, context: _reported(w, context))
    try:
        _run_mains(w)
        for step in (_cancel_left, _close_generators, _end_threads):
            if not w.hung:
                step(w)
        if not w.hung:
            for index, each in enumerate(w.tasks):
                if each is not None:
                    w.log(f"T{index}", each.get_name(), state(each))
            for index, each in enumerate(w.futures):
                w.log(f"F{index}", state(each))
    finally:
        w.silent = True
        asyncio.set_event_loop(None)
        loop.close()
    trace = w.trace
    w.__dict__.clear()
    w.silent = True
    return trace


def _reported(w, context):
    message = context["message"]
    error = context.get("exception")
    if "closing of" in message and describe(error) == "Misuse":
        return  # it runs still, in a task that was made while the loop was closed: asynchio leaves it alone
    for what in REPORTED:
        if what in message:
            w.log("-", "handler", what.split()[0], describe(error))


def _guard(w, count):
    w.log("-", "guard", count)
    if count >= 4:
        for each in w.locks + w.conditions:
            if each.locked():
                each.release()
    if count >= HOPELESS:
        w.log("-", "HUNG")
        w.silent = w.hung = True
        return w.loop.stop()
    for each in w.loop.left():
        each.cancel("guard")
    return w.loop.call_later(GUARD, _guard, w, count + 1)


def _run_mains(w):
    async def first():
        w.loop.rename(asyncio.current_task(), "t0")
        w.loop.call_later(GUARD, _guard, w, 1)
        return await waits.run_body(w, 0)

    async def second():
        w.loop.rename(asyncio.current_task(), w.next_name() or "t99")
        return await waits.run_body(w, 1)

    context = contextvars.copy_context()  # of all mains, as in asyncio.Runner
    for main in (first, second)[: w.mains]:
        task = w.loop.create_task(main(), context=context)
        try:
            value = w.loop.run_until_complete(task)
            w.log("-", "main returns", value)
        except (Exception, CancelledError) as error:
            if w.hung:
                return
            w.log("-", "main fails", describe(error))
    w.ending = True


def _finish(w, what):
    try:
        w.loop.run_until_complete(what)
    except RuntimeError:
        if not w.hung:
            raise


def _cancel_left(w):
    """As asyncio.runners, in order of creation."""
    left = w.loop.cancel_leftover()
    if not left:
        return
    _finish(w, asyncio.gather(*left, return_exceptions=True))
    if w.hung:
        return
    for each in left:
        w.loop.report_leftover(each)


def _close_generators(w):
    _finish(w, w.loop.create_task(w.loop.shutdown_asyncgens(), name=INTERNAL))


def _end_threads(w):
    _finish(w, w.loop.create_task(w.loop.shutdown_default_executor(300), name=INTERNAL))
