# SPDX-License-Identifier: BSL-1.0
"""What asynchio has and CPython 3.13 has not, written with asyncio; and asyncio's own with the orders left open settled.

Each class or function says in one sentence what it stands for. README.md lists them, too.
"""

import asyncio
import concurrent.futures
import contextvars
from asyncio import CancelledError, futures, tasks


class ordered_set(dict):
    """A set in the order of insertion."""

    def add(self, one):
        self[one] = None

    def discard(self, one):
        self.pop(one, None)

    remove = discard


class _noticing(asyncio.Future):
    """Knows whether the await of it was cut short."""

    interrupted = False

    def __await__(self):
        try:
            return (yield from super().__await__())
        except CancelledError:
            self.interrupted = True
            raise


class task_group(asyncio.TaskGroup):
    """asyncio's, with the cancel() that CPython 3.15 adds, and children in order of creation."""

    _waiting = None

    def __init__(self):
        super().__init__()
        self._tasks = ordered_set()
        self.ended_by_us = False
        self.interrupted = False  # while the end of the block waited

    @property
    def _on_completed_fut(self):
        return self._waiting

    @_on_completed_fut.setter
    def _on_completed_fut(self, future):
        if self._waiting is not None and self._waiting.interrupted:
            self.interrupted = True
        self._waiting = None if future is None else _noticing(loop=self._loop)

    def create_eager(self, coroutine, make, name):
        """create_task for an eager task, which CPython 3.13 has only as a factory of the whole loop."""
        if not self._entered or (self._exiting and not self._tasks) or self._aborting:
            coroutine.close()
            raise RuntimeError("task group: not entered, finished or shutting down")
        task = make(coroutine, name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def cancel(self):
        if self.ended_by_us or (self._exiting and not self._tasks):
            return
        self.ended_by_us = True
        if not self._parent_cancel_requested:
            self._abort()
            self._parent_cancel_requested = True
            self._parent_task.cancel()

    async def __aexit__(self, kind, error, trace):
        task = self._parent_task
        suppressed = await super().__aexit__(kind, error, trace)
        if not self.ended_by_us:
            return suppressed
        if self.interrupted and task.cancelling() > 0:  # by somebody else, which CPython 3.15 forgets here
            raise CancelledError()
        return True


class _quiet_condition(asyncio.Condition):
    """A waiter that is cancelled leaves the others where they stand."""

    def _notify(self, count):
        pass

    def notify_all(self):
        super()._notify(len(self._waiters))


class barrier(asyncio.Barrier):
    """asyncio's, where a cancelled wait() wakes nobody for nothing (see barrier.hpp)."""

    def __init__(self, parties):
        super().__init__(parties)
        self._cond = _quiet_condition()


class as_completed(tasks._AsCompletedIterator):
    """asyncio's, with the set in order."""

    def __init__(self, futures, timeout):
        self._done = asyncio.Queue()
        self._timeout_handle = None
        todo = ordered_set((each, None) for each in futures)
        for each in todo:
            each.add_done_callback(self._handle_completion)
        if todo and timeout is not None:
            self._timeout_handle = asyncio.get_running_loop().call_later(timeout, self._handle_timeout)
        self._todo = todo
        self._todo_left = len(todo)


class _joined(tasks._GatheringFuture):
    """gather and race as asynchio defines them: `decides(child)` tells whether an end of a child ends it early.

    Owned children are cancelled then, and waited for; a request to cancel that comes meanwhile is delivered later. A race
    keeps its result: a request that comes when a child has ended is delivered later, too.
    """

    def __init__(self, children, decides, owned, is_race=False):
        super().__init__(children, loop=asyncio.get_running_loop())
        self.decides = decides
        self.owned = owned
        self.is_race = is_race
        self.left = len(set(children))
        self.deciding = None
        self.message = None
        self.late = False
        for each in dict.fromkeys(children):
            each.add_done_callback(self.ended)

    def cancel(self, msg=None):
        if self.done():
            return False
        over = self.is_race and any(each.done() for each in self._children)
        requested = self._cancel_requested or self.late
        taken = super().cancel(msg) or over
        if taken and not (requested and self.is_race):
            self.message = msg
            self.late = self.late or over or self.deciding is not None
        return taken

    def ended(self, child):
        self.left -= 1
        if self.done():
            return
        if self.deciding is None and self.decides(child):
            self.deciding = child
            if self.owned and not self._cancel_requested:
                for each in self._children:
                    each.cancel()
        if self.deciding is None:
            over = self.left == 0
        else:
            over = not self.owned or self.left == 0
            over = over or (child is self.deciding and all(each.done() for each in self._children))
        if over:
            self.set_result(None)

    async def result_of(self, take):
        try:
            await self
        except CancelledError:
            if not (self.is_race and self.done()):
                raise
            self.late = not self._cancel_requested
        first = self.deciding
        if self.late and not first.cancelled():
            asyncio.current_task().uncancel()
            asyncio.current_task().cancel(self.message)
        if first is not None and _failed(first):
            first.result()
        if self._cancel_requested and not self.late:
            raise CancelledError(*([self.message] if self.message else []))
        return take()


def _failed(child):
    return child.cancelled() or child.exception() is not None


def _outcome(child):
    if child.cancelled():
        return CancelledError()
    return child.exception() or child.result()


async def gather_owned(coroutines, return_exceptions):
    """A gather that owns its children."""
    children = [asyncio.ensure_future(each) for each in coroutines]
    if return_exceptions:
        joined = _joined(children, lambda child: False, True)
        return await joined.result_of(lambda: [_outcome(each) for each in children])
    joined = _joined(children, _failed, True)
    return await joined.result_of(lambda: [each.result() for each in children])


async def race_owned(coroutines):
    """A race that owns its children."""
    return await _race([asyncio.ensure_future(each) for each in coroutines], True)


async def race(futures):
    """A race of handles, which run on."""
    if not futures:
        raise ValueError("race: the range is empty")
    done = [each for each in futures if each.done()]
    if done:  # the first of them in the order of the arguments, without suspending
        return futures.index(done[0]), done[0].result()
    return await _race(futures, False)


async def _race(children, owned):
    joined = _joined(children, lambda child: True, owned, is_race=True)
    return await joined.result_of(lambda: (children.index(joined.deciding), joined.deciding.result()))


class _patient(futures.Future):
    """Keeps a request to cancel until it is done."""

    requested = False
    message = None

    def cancel(self, msg=None):
        if self.done():
            return False
        self.requested, self.message = True, msg
        return True


async def to_thread(function):
    """asyncio's, which waits for a job that runs when it is cancelled."""
    loop = asyncio.get_running_loop()
    done = _patient(loop=loop)
    job = loop.worker().submit(contextvars.copy_context().run, function)
    futures._chain_future(job, done)
    try:
        return await done
    finally:
        if done.requested:
            raise CancelledError(*([done.message] if done.message else []))


def run_coroutine_threadsafe(coroutine, loop):
    """asyncio's, but what its thread has cancelled before the loop heard of it never begins, and the exception handler
    hears of one that is left at the end when it fails."""
    future = concurrent.futures.Future()

    def begin():
        if future.cancelled():
            return coroutine.close()
        task = asyncio.ensure_future(coroutine, loop=loop)
        task.add_done_callback(loop.report_leftover)
        return futures._chain_future(task, future)

    loop.call_soon_threadsafe(begin)
    return future
