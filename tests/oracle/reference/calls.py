# SPDX-License-Identifier: BSL-1.0
"""The statements that do not await."""

import asyncio
import contextvars
import threading
from asyncio import CancelledError

from reference import models
from reference.world import VARIABLES, boom, describe, state

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
        return asyncio.Task(coroutine, loop=w.loop, name=name, eager_start=True)

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


# Locks and queues


@call
def event_set(w, s, place):
    w.events[place].set()


@call
def event_clear(w, s, place):
    w.events[place].clear()


@call
def lock_release(w, s, place):
    w.locks[place].release()
    w.tells(s, "released")


@call
def locked(w, s):
    w.tells(s, *[each.locked() for each in w.locks + w.semaphores])


@call
def semaphore_release(w, s, place):
    w.semaphores[place].release()
    w.tells(s, "released")


@call
def condition_release(w, s, place):
    w.conditions[place].release()
    w.tells(s, "released")


@call
def notify(w, s, place, count):
    if count == "all":
        w.conditions[place].notify_all()
    else:
        w.conditions[place].notify(count)
    w.tells(s, "notified")


@call
def variable(w, s, place, value):
    w.variables[place] = value


@call
def barrier_state(w, s, place):
    w.tells(s, w.barriers[place].n_waiting, w.barriers[place].broken)


@call
def put_nowait(w, s, place, number):
    w.queues[place].put_nowait(number)
    w.tells(s, "put")


@call
def get_nowait(w, s, place):
    w.tells(s, "got", w.queues[place].get_nowait())


@call
def task_done(w, s, place):
    w.queues[place].task_done()
    w.tells(s, "done")


@call
def queue_shutdown(w, s, place, now):
    w.queues[place].shutdown(bool(now))
    w.tells(s, "shut")


@call
def queue_state(w, s, place):
    queue = w.queues[place]
    w.tells(s, queue.qsize(), queue.empty(), queue.full())


@call
def generator_drop(w, s, place):
    w.open[place] = None


# Context variables


@call
def context_set(w, s, place, value):
    VARIABLES[place].set(value)


@call
def context_get(w, s, place):
    w.tells(s, "context", VARIABLES[place].get())


@call
def context_mark(w, s, place, value, slot):
    w.tokens[slot] = place, VARIABLES[place].set(value)


@call
def context_reset(w, s, slot):
    if w.tokens[slot] is None:
        return w.tells(s, "empty")
    place, token = w.tokens[slot]
    VARIABLES[place].reset(token)
    return w.tells(s, "reset", VARIABLES[place].get())


@call
def context_copy(w, s, slot):
    w.contexts[slot] = contextvars.copy_context()


@call
def context_run(w, s, slot, block):
    """CPython refuses to enter a context twice, asynchio does not: here nobody does."""
    if w.contexts[slot] is None:
        return w.tells(s, "empty")
    if w.inside_context or w.who() in w.guests:
        return w.tells(s, "entered")
    w.inside_context += 1
    try:
        return w.contexts[slot].run(run_plain, w, block)
    finally:
        w.inside_context -= 1


@call
def context_create(w, s, slot, place, body):
    if w.contexts[slot] is None:
        return w.tells(s, "empty")

    def make(coroutine, name):
        w.guests.add(name)
        return w.loop.create_task(coroutine, name=name, context=w.contexts[slot])

    return spawn(w, s, place, body, make)


# Threads, each of which ends before the loop goes on


@call
def thread(w, s, block):
    def work():
        try:
            run_plain(w, block)
        except (Exception, CancelledError):
            w.tells(s, "thread fails")

    one = threading.Thread(target=work)
    one.start()
    one.join()


@call
def post(w, s, block):
    w.loop.call_soon_threadsafe(plain_call(w, s, block))


@call
def submit(w, s, slot, body):
    from reference.waits import run_named

    w.submitted[slot] = models.run_coroutine_threadsafe(run_named(w, body, None), w.loop)
    w.tells(s, "submitted")


@call
def submitted_state(w, s, slot):
    with_task(w, s, w.submitted[slot], lambda future: (state(future),))


@call
def submitted_cancel(w, s, slot):
    """CPython's says yes to each of several requests; here the first counts."""
    with_task(w, s, w.submitted[slot], lambda future: ("cancel", not future.done() and future.cancel()))


# Streams


@call
def write_eof(w, s, place):
    w.streams[place].write_eof()
    w.tells(s, "ended")


@call
def close_writer(w, s, place):
    w.streams[place].close()
    w.tells(s, "closed")


@call
def close_reader(w, s, place):
    w.streams[place].close_reader()
    w.tells(s, "closed")
