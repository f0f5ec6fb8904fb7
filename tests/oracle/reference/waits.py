# SPDX-License-Identifier: BSL-1.0
"""The statements that may await, and the bodies of tasks."""

import asyncio
from asyncio import CancelledError

from reference import models
from reference.calls import perform
from reference.world import boom, describe, listed, shown, state

WAITS = {}


def wait_(function):
    WAITS[function.__name__.rstrip("_")] = function
    return function


async def run_statement(w, statement):
    wait = WAITS.get(statement[0])
    try:
        if wait is None:
            perform(w, statement)
        elif not w.over_limit(statement):
            await wait(w, statement, *statement[2:])
    except (Exception, CancelledError) as error:
        w.tells(statement, "!", describe(error))
        raise


async def run_block(w, block):
    for statement in block:
        await run_statement(w, statement)


async def run_body(w, index):
    result, block = w.bodies[index]
    w.log(f"b{index}", "begins")
    try:
        await run_block(w, block)
    except (Exception, CancelledError) as error:
        w.log(f"b{index}", "fails", describe(error))
        raise
    w.log(f"b{index}", "returns", result)
    return result


async def run_named(w, index, parent):
    """The body of a task that others have made: it takes the next name by itself."""
    name = w.next_name()
    if name is None:
        return -1
    w.loop.rename(asyncio.current_task(), name)
    if parent is not None:
        w.awaited.setdefault(parent, []).append(name)
    return await run_body(w, index)


class edges:
    """While a task awaits what a request to cancel it goes on to."""

    def __init__(self, w, names):
        self.w, self.names = w, names
        self.me = w.who()

    def __enter__(self):
        self.w.awaited[self.me] = self.names

    def __exit__(self, *error):
        self.w.awaited[self.me] = []


async def watch(w, s, handles, make, show):
    """Awaits what `make` gives, which waits for `handles`."""
    if any(each is None for each in handles):
        return w.tells(s, "empty")
    names = [w.name(each) for each in handles if isinstance(each, asyncio.Task)]
    if w.closes_circle(names):
        return w.tells(s, "circle")
    with edges(w, names):
        value = await make()
    return w.tells(s, "ok", show(value))


@wait_
async def sleep(w, s, delay):
    await asyncio.sleep(delay)
    w.tells(s, "slept")


@wait_
async def await_(w, s, name):
    handle = w.handle(name)
    await watch(w, s, [handle], lambda: handle, shown)


@wait_
async def nothrow(w, s, name):
    me = asyncio.current_task()
    requests = me.cancelling() - (1 if me._must_cancel else 0)
    handle = w.handle(name)

    async def outcome():
        try:
            return f"value {await handle}"
        except CancelledError:
            if me.cancelling() > requests:
                raise
            return "cancelled"
        except Exception as error:
            return describe(error)

    await watch(w, s, [handle], outcome, str)


@wait_
async def call(w, s, body):
    w.tells(s, "ok", await run_body(w, body))


@wait_
async def repeat(w, s, times, block):
    for _ in range(times):
        await run_block(w, block)


KINDS = {
    "cancel": CancelledError,
    "all": (Exception, CancelledError),
    "error": Exception,
    "timeout": TimeoutError,
    "group": BaseExceptionGroup,
    "boom": boom,
}


@wait_
async def try_(w, s, block, kind, handler, again):
    try:
        await run_block(w, block)
    except KINDS[kind] as error:
        w.tells(s, "caught", describe(error))
        await run_block(w, handler)
        if again:
            raise


@wait_
async def finally_(w, s, block, cleanup):
    try:
        await run_block(w, block)
    finally:
        w.tells(s, "finally")
        await run_block(w, cleanup)


# Several at once


@wait_
async def gather(w, s, names, outcomes):
    handles = w.handles(names)
    await watch(w, s, handles, lambda: asyncio.gather(*handles, return_exceptions=bool(outcomes)), listed)


@wait_
async def gather_owned(w, s, bodies, outcomes):
    children = [run_named(w, each, w.who()) for each in bodies]
    await watch(w, s, [], lambda: models.gather_owned(children, bool(outcomes)), listed)


def nested(values):
    return "|".join(listed(each) if isinstance(each, list) else shown(each) for each in values)


@wait_
async def nest_gathers(w, s, first, second, outer, inner):
    one, two = w.handles(first), w.handles(second)

    def make():
        first_inner = asyncio.gather(*one, return_exceptions=bool(inner))
        return asyncio.gather(first_inner, asyncio.gather(*two), return_exceptions=bool(outer))

    await watch(w, s, one + two, make, nested)


@wait_
async def nest_one(w, s, many, any_, outer):
    inner, one = w.handles(many), w.handle(any_)
    make = lambda: asyncio.gather(asyncio.gather(*inner), one, return_exceptions=bool(outer))  # noqa: E731
    await watch(w, s, [*inner, one], make, nested)


@wait_
async def nest_shield(w, s, any_, many, outer):
    one, inner = w.handle(any_), w.handles(many)
    if one is None:
        return w.tells(s, "empty")
    make = lambda: asyncio.gather(  # noqa: E731
        asyncio.shield(one), asyncio.gather(*inner), return_exceptions=bool(outer)
    )
    return await watch(w, s, [*inner, one], make, nested)


@wait_
async def nest_three(w, s, many, first, second, outer):
    inner, one, two = w.handles(many), w.handle(first), w.handle(second)

    def make():
        middle = asyncio.gather(asyncio.gather(*inner), one)
        return asyncio.gather(middle, two, return_exceptions=bool(outer))

    def show(values):
        middle, last = values
        return f"{nested(middle) if isinstance(middle, list) else shown(middle)}/{shown(last)}"

    await watch(w, s, [*inner, one, two], make, show)


@wait_
async def wait_for_nest(w, s, first, second, limit):
    one, two = w.handles(first), w.handles(second)
    make = lambda: asyncio.wait_for(  # noqa: E731
        asyncio.gather(asyncio.gather(*one), asyncio.gather(*two)), limit
    )
    await watch(w, s, one + two, make, nested)


@wait_
async def race(w, s, names):
    handles = w.handles(names)
    await watch(w, s, handles, lambda: models.race(handles), lambda won: f"{won[0]} {won[1]}")


@wait_
async def race_owned(w, s, bodies):
    children = [run_named(w, each, w.who()) for each in bodies]
    await watch(w, s, [], lambda: models.race_owned(children), lambda won: f"{won[0]} {won[1]}")


ENOUGH = {"all": asyncio.ALL_COMPLETED, "first": asyncio.FIRST_COMPLETED, "exception": asyncio.FIRST_EXCEPTION}


@wait_
async def wait(w, s, names, enough, limit):
    handles = w.handles(names)
    done, pending = await asyncio.wait(handles, timeout=limit, return_when=ENOUGH[enough])
    there = [state(each) for each in dict.fromkeys(handles) if each in done]
    w.tells(s, "done", *there, "pending", len(pending))


@wait_
async def as_completed(w, s, names, limit, most, block):
    finished = models.as_completed(w.handles(names), limit)
    for _ in range(most):
        try:
            handle = await finished.__anext__()
        except StopAsyncIteration:
            return w.tells(s, "end")
        except TimeoutError:
            w.tells(s, "late")
            continue
        w.tells(s, "next", w.name(handle) if isinstance(handle, asyncio.Task) else "future", state(handle))
        await run_block(w, block)
    return w.tells(s, "left")


# Limits


@wait_
async def wait_for(w, s, name, limit):
    handle = w.handle(name)
    await watch(w, s, [handle], lambda: asyncio.wait_for(handle, limit), shown)


@wait_
async def wait_for_body(w, s, limit, block):
    await asyncio.wait_for(run_block(w, block), limit)
    w.tells(s, "ok")


@wait_
async def wait_for_gather(w, s, names, outcomes, limit):
    handles = w.handles(names)
    make = lambda: asyncio.wait_for(  # noqa: E731
        asyncio.gather(*handles, return_exceptions=bool(outcomes)), limit
    )
    await watch(w, s, handles, make, listed)


@wait_
async def shield(w, s, name):
    handle = w.handle(name)
    await watch(w, s, [handle], lambda: asyncio.shield(handle), shown)


@wait_
async def wait_for_shield(w, s, name, limit):
    handle = w.handle(name)
    await watch(w, s, [handle], lambda: asyncio.wait_for(asyncio.shield(handle), limit), shown)


@wait_
async def timeout(w, s, place, limit, block):
    inside = w.timeouts[place] = asyncio.timeout(limit)
    try:
        async with inside:
            await run_block(w, block)
    finally:
        w.tells(s, "expired", inside.expired())


@wait_
async def group(w, s, place, block):
    inside = w.groups[place] = models.task_group()
    async with inside:
        await run_block(w, block)
        w.tells(s, "body ends")
    w.tells(s, "ok")
