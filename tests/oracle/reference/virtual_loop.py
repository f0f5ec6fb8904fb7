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
    """Time jumps when nothing is ready. Waits only for worker threads that owe a result."""

    def __init__(self, loop):
        self.loop = loop

    def select(self, timeout):
        loop = self.loop
        if loop.posted or timeout == 0:
            return ()
        if loop.owed:
            loop.arrival.wait()
        elif timeout is not None:
            loop.virtual_time += timeout
        else:
            raise RuntimeError("nothing is left that could happen")
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


class virtual_loop(base_events.BaseEventLoop):
    def __init__(self):
        super().__init__()
        self.virtual_time = 0.0
        self.timers = 0
        self.births = {}  # of tasks, by name
        self.begun = weakref.WeakKeyDictionary()  # generators
        self.posted = []  # calls of other threads: they come in when an iteration begins
        self.arrival = threading.Event()
        self.owed = 0
        self.pool = None
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
        self.arrival.clear()

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
        self.arrival.set()
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

    # Generators. CPython closes a dropped one by a call from whatever thread collects it, which takes an iteration more.

    def _asyncgen_firstiter_hook(self, agen):
        self.begun[agen] = len(self.begun)
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
        """As CPython's, in the order in which they were begun; waits for those that are being closed, too."""
        self._asyncgens_shutdown_called = True
        open_ones = sorted(self._asyncgens, key=lambda agen: self.begun[agen])
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
