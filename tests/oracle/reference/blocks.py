# SPDX-License-Identifier: BSL-1.0
"""The statements that await locks, queues, generators, threads and streams."""

import asyncio
import threading

from reference import models
from reference.calls import run_plain
from reference.waits import run_block, run_statement, wait_


async def inside(w, s, resource, block):
    async with resource:
        w.tells(s, "in")
        await run_block(w, block)
    w.tells(s, "out")


@wait_
async def lock(w, s, place, block):
    await inside(w, s, w.locks[place], block)


@wait_
async def semaphore(w, s, place, block):
    await inside(w, s, w.semaphores[place], block)


@wait_
async def condition(w, s, place, block):
    await inside(w, s, w.conditions[place], block)


@wait_
async def lock_acquire(w, s, place):
    await w.locks[place].acquire()
    w.tells(s, "acquired")


@wait_
async def semaphore_acquire(w, s, place):
    await w.semaphores[place].acquire()
    w.tells(s, "acquired")


@wait_
async def event_wait(w, s, place):
    await w.events[place].wait()
    w.tells(s, "set")


@wait_
async def condition_wait(w, s, place):
    await w.conditions[place].wait()
    w.tells(s, "notified")


@wait_
async def condition_wait_for(w, s, place, which, least):
    w.tells(s, "true", await w.conditions[place].wait_for(lambda: w.variables[which] >= least))


@wait_
async def barrier_wait(w, s, place):
    w.tells(s, "index", await w.barriers[place].wait())


@wait_
async def barrier_with(w, s, place, block):
    async with w.barriers[place] as index:
        w.tells(s, "index", index)
        await run_block(w, block)


@wait_
async def barrier_abort(w, s, place):
    await w.barriers[place].abort()


@wait_
async def barrier_reset(w, s, place):
    await w.barriers[place].reset()


@wait_
async def put(w, s, place, number):
    await w.queues[place].put(number)
    w.tells(s, "put")


@wait_
async def get(w, s, place):
    w.tells(s, "got", await w.queues[place].get())


@wait_
async def join(w, s, place):
    await w.queues[place].join()
    w.tells(s, "joined")


# Generators


async def generate(w, index):
    identity, block, cleanup = w.generators[index]
    try:
        for statement in block:
            if statement[0] == "yield":
                w.tells(statement, "yields")
                yield statement[2]
                w.tells(statement, "goes on")
            else:
                await run_statement(w, statement)
    finally:
        w.log(identity, "generator ends")
        await run_block(w, cleanup)


@wait_
async def generator_open(w, s, place, index):
    w.open[place] = generate(w, index)


def finished(generator):
    """CPython says for ever that it runs when its cleanup has failed in aclose()."""
    return generator.ag_frame is None and generator.ag_running


@wait_
async def generator_next(w, s, place):
    if w.open[place] is None:
        return w.tells(s, "empty")
    if finished(w.open[place]):
        return w.tells(s, "end")
    try:
        return w.tells(s, "item", await w.open[place].__anext__())
    except StopAsyncIteration:
        return w.tells(s, "end")


@wait_
async def generator_close(w, s, place):
    if w.open[place] is None:
        return w.tells(s, "empty")
    if not finished(w.open[place]):
        await w.open[place].aclose()
    return w.tells(s, "closed")


async def items(w, s, generator, most, block):
    for _ in range(most):
        try:
            item = await generator[0].__anext__()
        except StopAsyncIteration:
            return w.tells(s, "end")
        w.tells(s, "item", item)
        await run_block(w, block)
    return w.tells(s, "enough")


@wait_
async def generator_for(w, s, index, most, block):
    generator = [generate(w, index)]
    try:
        await items(w, s, generator, most, block)
    finally:
        await generator[0].aclose()
    w.tells(s, "ok")


@wait_
async def generator_leave(w, s, index, most, block):
    """Leaves it to the loop to close it. A traceback would keep the generator: it is let go by hand."""
    generator = [generate(w, index)]
    try:
        await items(w, s, generator, most, block)
    finally:
        generator.clear()


# Threads


def lock_step(w, patience):
    """Lets the job go on after so many iterations, and holds the loop up until its end has been posted."""
    if patience > 0:
        return w.loop.call_soon(lock_step, w, patience - 1)
    gate, w.job = w.job, None
    gate.set()
    return w.loop.worker().submit(int).result()  # the one thread is free: it has posted


def gated(w, s, patience, block):
    """A job that begins at once and waits for its turn; None while there is one already, and when main has ended."""
    if w.job is not None or w.ending:
        return w.tells(s, "ending" if w.ending else "busy")
    gate = w.job = threading.Event()

    def work():
        gate.wait()
        run_plain(w, block)
        return s[1]

    w.loop.worker()
    w.loop.call_soon(lock_step, w, patience)
    return work


@wait_
async def to_thread(w, s, patience, block):
    if asyncio.current_task().cancelling() > 0:  # it would meet a job that may have begun or not
        return w.tells(s, "cancelling")
    work = gated(w, s, patience, block)
    if work is not None:
        w.tells(s, "ok", await models.to_thread(work))
    return None


@wait_
async def in_executor(w, s, patience, block):
    work = gated(w, s, patience, block)
    if work is not None:
        w.tells(s, "ok", await w.loop.run_in_executor(None, work))


@wait_
async def await_submitted(w, s, slot):
    future = w.submitted[slot]
    if future is None:
        return w.tells(s, "empty")
    return w.tells(s, "ok", await asyncio.wrap_future(future))
