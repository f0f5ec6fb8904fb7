# SPDX-License-Identifier: BSL-1.0
"""The statements that do not await."""

import asyncio
from asyncio import CancelledError

from reference.world import boom, describe, state

CALLS = {}


def call(function):
    CALLS[function.__name__.rstrip("_")] = function
    return function


def run_plain(w, block):
    for statement in block:
        try:
            perform(w, statement)
        except (Exception, CancelledError) as error:
            w.tells(statement, "!", describe(error))
            raise


def perform(w, statement):
    if not w.over_limit(statement):
        CALLS[statement[0]](w, statement, *statement[2:])


def plain_call(w, statement, block):
    def called(*handles):
        w.tells(statement, "called", *map(state, handles))
        run_plain(w, block)

    return called


def spawn(w, statement, place, body, make):
    name = w.next_name()
    if name is None:
        return w.tells(statement, "limit")
    from reference.waits import run_body

    task = make(run_body(w, body), name)
    w.tells(statement, "made", name)
    w.tasks[int(place[1:])] = task
    return None


def plain_task(w):
    return lambda coroutine, name: w.loop.create_task(coroutine, name=name)


def eager_task(w):
    def make(coroutine, name):
        w.loop.births[name] = len(w.loop.births)
        return w.loop.get_task_factory()(w.loop, coroutine, name=name, eager_start=True)

    return make


@call
def log(w, s):
    w.tells(s, "log")


@call
def create(w, s, place, body):
    spawn(w, s, place, body, plain_task(w))


@call
def eager(w, s, place, body):
    spawn(w, s, place, body, eager_task(w))


@call
def group_create(w, s, group, place, body):
    inside = w.groups[group]
    if inside is None:
        return w.tells(s, "empty")
    return spawn(w, s, place, body, lambda coroutine, name: inside.create_task(coroutine, name=name))


@call
def group_eager(w, s, group, place, body):
    inside = w.groups[group]
    if inside is None:
        return w.tells(s, "empty")
    return spawn(w, s, place, body, lambda coroutine, name: inside.create_eager(coroutine, eager_task(w), name))


@call
def group_cancel(w, s, group):
    inside = w.groups[group]
    if inside is None:
        return w.tells(s, "empty")
    inside.cancel()
    return w.tells(s, "cancelled")


# Tasks and futures


def with_task(w, s, task, act):
    return w.tells(s, "empty") if task is None else w.tells(s, *act(task))


def cancelling_it(message):
    return lambda one: ("cancel", one.cancel(message) if message is not None else one.cancel())


@call
def cancel(w, s, place, message):
    with_task(w, s, w.handle(place), cancelling_it(message))


@call
def uncancel(w, s, place):
    with_task(w, s, w.handle(place), lambda task: ("uncancel", task.uncancel()))


@call
def cancelling(w, s, place):
    with_task(w, s, w.handle(place), lambda task: ("cancelling", task.cancelling()))


@call
def cancel_me(w, s, message):
    with_task(w, s, asyncio.tasks.current_task(w.loop), cancelling_it(message))


@call
def uncancel_me(w, s):
    with_task(w, s, asyncio.tasks.current_task(w.loop), lambda task: ("uncancel", task.uncancel()))


@call
def cancelling_me(w, s):
    with_task(w, s, asyncio.tasks.current_task(w.loop), lambda task: ("cancelling", task.cancelling()))


@call
def status(w, s, name):
    with_task(w, s, w.handle(name), lambda handle: (state(handle),))


@call
def result(w, s, name):
    with_task(w, s, w.handle(name), lambda handle: (handle.result(),))


@call
def exception(w, s, name):
    def ask(handle):
        error = handle.exception()
        return ("none" if error is None else describe(error),)

    with_task(w, s, w.handle(name), ask)


@call
def tasks(w, s):
    w.tells(s, *[w.name(each) for each in w.loop.left()])


@call
def set_result(w, s, name, number):
    w.handle(name).set_result(number)
    w.tells(s, "set")


@call
def set_exception(w, s, name, word):
    w.handle(name).set_exception(CancelledError() if word == "cancelled" else boom(word))
    w.tells(s, "set")


@call
def cancel_future(w, s, name, message):
    with_task(w, s, w.handle(name), cancelling_it(message))


@call
def raise_(w, s, word):
    raise boom(word)


@call
def raise_cancelled(w, s, message):
    raise CancelledError(message) if message is not None else CancelledError()


# Calls of the loop


@call
def done_callback(w, s, name, slot, block):
    handle = w.handle(name)
    if handle is None:
        return w.tells(s, "empty")
    called = plain_call(w, s, block)
    handle.add_done_callback(called)
    w.callbacks[slot] = handle, called
    return None


@call
def remove_callback(w, s, slot):
    if w.callbacks[slot] is None:
        return w.tells(s, "empty")
    handle, called = w.callbacks[slot]
    return w.tells(s, "removed", handle.remove_done_callback(called))


@call
def soon(w, s, slot, block):
    w.calls[slot] = w.loop.call_soon(plain_call(w, s, block))


@call
def later(w, s, slot, delay, block):
    w.calls[slot] = w.loop.call_later(delay, plain_call(w, s, block))


@call
def at(w, s, slot, moment, block):
    w.calls[slot] = w.loop.call_at(moment, plain_call(w, s, block))


@call
def cancel_call(w, s, slot):
    made = w.calls[slot]
    if made is None:
        return w.tells(s, "empty")
    made.cancel()
    return w.tells(s, "taken back", made.cancelled())


@call
def reschedule(w, s, place, limit):
    inside = w.timeouts[place]
    if inside is None:
        return w.tells(s, "empty")
    inside.reschedule(None if limit is None else w.loop.time() + limit)
    return w.tells(s, "moved")
