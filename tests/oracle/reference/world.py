# SPDX-License-Identifier: BSL-1.0
"""What the statements of one program work on, and its trace."""

import asyncio
import contextvars
import threading
from asyncio import CancelledError

from reference import models

MOST_TASKS = 30
MOST_STEPS = 600
VARIABLES = (contextvars.ContextVar("v0", default=0), contextvars.ContextVar("v1", default=0))


class boom(Exception):
    """What programs throw."""


QUEUES = {"fifo": asyncio.Queue, "lifo": asyncio.LifoQueue, "priority": asyncio.PriorityQueue}
NAMES = (
    (TimeoutError, "Timeout"),
    (asyncio.InvalidStateError, "InvalidState"),
    (asyncio.QueueEmpty, "QueueEmpty"),
    (asyncio.QueueFull, "QueueFull"),
    (asyncio.QueueShutDown, "QueueShutDown"),
    (asyncio.BrokenBarrierError, "Broken"),
    (asyncio.IncompleteReadError, "Incomplete"),
    (asyncio.LimitOverrunError, "Overrun"),
    (OSError, "System"),
    (ValueError, "Misuse"),
    (RuntimeError, "Misuse"),
)


def describe(error):
    if isinstance(error, CancelledError):
        return f"Cancelled:{error.args[0]}" if error.args and error.args[0] else "Cancelled"
    if isinstance(error, boom):
        return f"Boom:{error.args[0]}"
    if isinstance(error, BaseExceptionGroup):
        return "Group[" + ",".join(map(describe, error.exceptions)) + "]"
    for kind, name in NAMES:
        if isinstance(error, kind):
            return name
    return f"{type(error).__name__}:{error}"


def state(handle):
    """How a task or future stands."""
    if not handle.done():
        return "pending"
    if handle.cancelled():
        return "cancelled"
    error = handle.exception()
    return f"failed {describe(error)}" if error is not None else f"result {handle.result()}"


def shown(value):
    return describe(value) if isinstance(value, BaseException) else str(value)


def listed(values):
    return ",".join(map(shown, values))


class world:
    def __init__(self, program, loop):
        _, queues, generators, bodies, mains = program
        self.loop = loop
        self.trace = []
        self.silent = False
        self.hung = False
        self.ending = False  # main has ended
        self.generators = generators[1:]
        self.bodies = bodies[1:]
        self.mains = mains[1]
        self.made = 0
        self.steps = 0
        self.tasks = [None] * 8
        self.futures = [loop.create_future() for _ in range(3)]
        self.locks = [asyncio.Lock(), asyncio.Lock()]
        self.semaphores = [
            asyncio.Semaphore(1),
            asyncio.Semaphore(2),
            asyncio.BoundedSemaphore(1),
            asyncio.Semaphore(0),
        ]
        self.events = [asyncio.Event(), asyncio.Event()]
        self.conditions = [asyncio.Condition(), asyncio.Condition(self.locks[1])]
        self.barriers = [models.barrier(2), models.barrier(3)]
        self.queues = [QUEUES[kind](size) for kind, size in queues[1:]]
        self.timeouts = [None] * 2
        self.groups = [None] * 2
        self.calls = [None] * 3
        self.callbacks = [None] * 3
        self.open = [None] * 2
        self.variables = [0] * 2
        self.tokens = [None] * 3
        self.contexts = [None] * 3
        self.inside_context = 0
        self.guests = set()  # tasks that run in one of these contexts
        self.submitted = [None] * 3
        self.job = None
        self.streams = None
        self.awaited = {}  # by a task: the tasks that a request to cancel it goes on to
        self.loop_thread = threading.get_ident()

    def who(self):
        if threading.get_ident() != self.loop_thread:
            return "thread"
        task = asyncio.tasks.current_task(self.loop)
        return "loop" if task is None else self.name(task)

    @staticmethod
    def name(task):
        name = task.get_name()
        return name if name[0] == "t" else "?"

    def log(self, identity, *text):
        if self.silent:
            return
        when = int(self.loop.time()) if self.loop.is_running() else "-"
        self.trace.append(f"{when} {self.who()} {identity} {' '.join(map(str, text))}")

    def tells(self, statement, *text):
        self.log(statement[1], *text)

    def handle(self, name):
        """What t3 or f0 stands for; None for an empty place."""
        return (self.tasks if name[0] == "t" else self.futures)[int(name[1:])]

    def handles(self, names):
        return [each for each in map(self.handle, names) if each is not None]

    def next_name(self):
        """For one more task; None when there are enough."""
        if self.made >= MOST_TASKS:
            return None
        self.made += 1
        return f"t{self.made}"

    def over_limit(self, statement):
        """Whether this step is too many; counts it."""
        self.steps += 1
        if self.steps <= MOST_STEPS:
            return False
        self.tells(statement, "steps")
        return True

    def closes_circle(self, names):
        """Whether awaiting these makes tasks await each other in a circle."""
        me, seen, left = self.who(), set(), list(names)
        while left:
            name = left.pop()
            if name == me:
                return True
            if name not in seen:
                seen.add(name)
                left.extend(self.awaited.get(name, ()))
        return False
