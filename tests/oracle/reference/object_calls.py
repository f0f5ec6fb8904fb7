# SPDX-License-Identifier: BSL-1.0
"""The statements about locks, queues, generators, context variables, threads and streams that do not await."""

import contextvars
import threading
from asyncio import CancelledError

from reference import models
from reference.calls import call, plain_call, run_plain, spawn, with_task
from reference.world import VARIABLES, state


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
