# SPDX-License-Identifier: BSL-1.0
"""An asyncio event loop in virtual time, that keeps every order that asynchio promises and CPython leaves open."""

import asyncio
import collections.abc
import concurrent.futures
import heapq
import threading
import weakref
from asyncio import base_events, events

INTERNAL = "internal"  # tasks of the loop's own end, which are nobody's business


class _timer(events.TimerHandle):
    """Timers of equal deadline fire in the order in which they were set."""

    __slots__ = ("number",)

    def __lt__(self, other):
        return (self._when, self.number) < (other._when, other.number)


class _selector:
    """Time jumps when nothing is ready. Waits only for the end of the worker thread."""

    def __init__(self, loop):
        self.loop = loop

    def select(self, timeout):
        loop = self.loop
        if loop.pool_ends:
            loop.pool_has_ended.wait()
        if loop.posted or timeout == 0:
            return ()
        if timeout is None:
            raise RuntimeError("nothing is left that could happen")
        loop.virtual_time += timeout
        return ()


class _executor(concurrent.futures.ThreadPoolExecutor):
    """Goes on when the job has begun, so that nobody can take it back."""

    def submit(self, function, /, *arguments):
        begun = threading.Event()

        def job():
            begun.set()
            return function(*arguments)

        future = super().submit(job)
        begun.wait()
        return future


class _task(asyncio.Task):
    """asyncio's, which notes how often it is asked in vain while the tasks that are left are asked to end."""

    def cancel(self, msg=None):
        if (walk := self.get_loop().cancel_walk) is None:
            return super().cancel(msg)
        return walk.visit(self, super().cancel)


class _cancel_walk:
    """Each of the tasks that are left passes the request on once; here what comes twice is taken back afterwards."""

    def __init__(self):
        self.visited = set()
        self.behind_visited = False
        self.surplus = []

    def visit(self, task, cancel):
        if self.behind_visited:
            self.surplus.append(task)
            return cancel()
        self.behind_visited = task in self.visited
        self.visited.add(task)
        try:
            return cancel()
        finally:
            self.behind_visited = False


class virtual_loop(base_events.BaseEventLoop):
    def __init__(self):
        super().__init__()
        self.set_task_factory(lambda loop, coro, **options: _task(coro, loop=loop, **options))
        self.cancel_walk = None
        self.virtual_time = 0.0
        self.timers = 0
        self.births = {}  # of tasks, by name
        self.generators = 0
        self.begun = weakref.WeakKeyDictionary()  # numbers of generators
        self.posted = []  # calls of other threads: they come in when an iteration begins
        self.pool = None
        self.pool_ends = False
        self.pool_has_ended = threading.Event()
        self.leftover = set()
        self.closing = []  # tasks that close generators that were dropped
        self._clock_resolution = 1e-6
        self._selector = _selector(self)

    def time(self):
        return self.virtual_time

    def _write_to_self(self):
        pass

    def _process_events(self, event_list):
        while self.posted:
            self._ready.append(self.posted.pop(0))

    def call_at(self, when, callback, *args, context=None):
        self._check_closed()
        timer = _timer(when, callback, args, self, context)
        self.timers += 1
        timer.number = self.timers
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def call_soon_threadsafe(self, callback, *args, context=None):
        self._check_closed()
        handle = events.Handle(callback, args, self, context)
        self.posted.append(handle)
        return handle

    def create_task(self, coro, *, name=None, **options):
        if name is None:
            name = f"u{len(self.births)}"
        self.births[name] = len(self.births)
        return super().create_task(coro, name=name, **options)

    def rename(self, task, name):
        self.births[name] = self.births[task.get_name()]
        task.set_name(name)

    def left(self):
        """Tasks that are not done, in order of creation."""
        tasks = [each for each in asyncio.all_tasks(self) if each.get_name() != INTERNAL]
        return sorted(tasks, key=lambda task: self.births[task.get_name()])

    def cancel_leftover(self):
        self.cancel_walk = walk = _cancel_walk()
        self.leftover = set(left := self.left())
        for each in left:
            each.cancel()
        self.cancel_walk = None
        for each in walk.surplus:
            each.uncancel()
        return left

    def report_leftover(self, task):
        """Once, if it failed after it was left at the end of a run."""
        if task in self.leftover and not task.cancelled() and task.exception() is not None:
            self.leftover.remove(task)
            message = "unhandled exception during asyncio.run() shutdown"
            self.call_exception_handler({"message": message, "exception": task.exception(), "task": task})

    def worker(self):
        """The one thread of to_thread."""
        if self.pool is None:
            self.pool = _executor(1)
            self.set_default_executor(self.pool)
        return self.pool

    async def shutdown_default_executor(self, timeout=None):
        self.pool_ends = self.pool is not None
        await super().shutdown_default_executor(timeout)

    def _do_shutdown(self, future):
        super()._do_shutdown(future)
        self.pool_has_ended.set()

    # Generators. CPython closes a dropped one by a call from whatever thread collects it, which takes an iteration more.

    def _asyncgen_firstiter_hook(self, agen):
        self.generators += 1
        self.begun[agen] = self.generators
        super()._asyncgen_firstiter_hook(agen)

    def _asyncgen_finalizer_hook(self, agen):
        self._asyncgens.discard(agen)
        if not self.is_closed():
            self.closing.append(self.create_task(_closing(self, agen)))

    async def close_one(self, agen):
        """What fails is told as at the end of a run; else it would be told by the collector, at any time."""
        try:
            await agen.aclose()
        except Exception as error:
            self.call_exception_handler({"message": "closing of asynchronous generator", "exception": error})

    async def shutdown_asyncgens(self):
        """As CPython's, of those that have not ended, in the order in which they were begun; waits also for those that
        are being closed."""
        self._asyncgens_shutdown_called = True
        open_ones = sorted((each for each in self._asyncgens if each.ag_frame), key=lambda agen: self.begun[agen])
        self._asyncgens.clear()
        tasks = [self.create_task(self.close_one(each)) for each in open_ones]
        while tasks := tasks + [each for each in self.closing if not each.done()]:
            await asyncio.gather(*tasks, return_exceptions=True)
            tasks = []


class _closing(collections.abc.Coroutine):
    """Closes a generator that was dropped, also when its task is cancelled before it has begun."""

    def __init__(self, loop, agen):
        self.loop, self.agen = loop, agen
        self.inner = None

    def send(self, value):
        if self.inner is None:
            self.inner = self.loop.close_one(self.agen)
            self.agen = None
        return self.inner.send(value)

    def throw(self, kind, value=None, trace=None):
        if self.inner is not None:
            return self.inner.throw(kind)
        agen, self.agen = self.agen, None
        if agen is not None:
            self.loop._asyncgen_finalizer_hook(agen)
        raise kind

    def close(self):
        if self.inner is not None:
            self.inner.close()

    def __await__(self):
        yield
