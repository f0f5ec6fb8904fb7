# SPDX-License-Identifier: BSL-1.0
"""Random programs. The same seed and number give the same program with every version of Python."""

import random

from language import BLOCKS, REMOTE, SHAPES, THEMES

DELAYS = (0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 7)
LIMITS = (None, -1, 0, 0, 1, 1, 2, 2, 3, 4, 5)
TIMES = (None, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5)
MESSAGES = (None, None, None, "m1", "m2")
PAYLOADS = ("one", "two", "line", "lines", "part", "long")
DEEPEST = 3


class _maker:
    def __init__(self, rng, avoided):
        self.random = rng
        self.next_id = 0
        self.bodies = rng.choice((2, 3, 3, 4, 4, 5))
        self.tasks = rng.choice((4, 6))
        themes = [each for each in THEMES if each not in avoided]
        count = rng.choice((2, 3, 4, 5)) if rng.random() < 0.93 else len(themes)
        self.themes = set(rng.sample(themes, min(count, len(themes))))
        self.plain = self._offered(avoided, waits=False)
        self.waiting = self._offered(avoided, waits=True)
        self.flat = [each for each in self.waiting if not set(BLOCKS) & set(each.arguments)]
        self.remote = [each for each in self.plain if each.name in REMOTE]

    def _offered(self, avoided, waits):
        return [
            each
            for each in SHAPES
            if each.waits == waits and each.name not in avoided and (each.theme is None or each.theme in self.themes)
        ]

    def pick(self, shapes):
        return self.random.choices(shapes, [each.weight for each in shapes])[0]

    def identity(self):
        self.next_id += 1
        return self.next_id

    # The kinds of arguments

    def task(self):
        return f"t{self.random.randrange(self.tasks)}"

    def future(self):
        return f"f{self.random.randrange(3)}"

    def any(self):
        return self.future() if "future" in self.themes and self.random.random() < 0.4 else self.task()

    def many(self):
        if "future" in self.themes and self.random.random() < 0.25:
            return [self.future() for _ in range(self.random.choice((1, 2, 3)))]
        return self.several()

    def several(self):
        return [self.task() for _ in range(self.random.choice((0, 1, 2, 2, 3, 3, 4)))]

    def argument(self, kind, level, depth):
        choose = self.random.choice
        if kind.startswith("word:"):
            word = choose(kind[5:].split(","))
            return int(word) if word.isdigit() else word
        if kind in ("task", "future", "any", "many"):
            return getattr(self, kind)()
        if kind == "tasks":
            return self.several()
        if kind == "block":
            return self.block(level, depth + 1, 1, 3)
        if kind in ("plain", "remote"):
            shapes = self.plain if kind == "plain" else self.remote
            return [self.statement(shapes, level, depth + 1) for _ in range(choose((1, 1, 2)))]
        if kind == "body":
            return self.random.randrange(level + 1, self.bodies)
        if kind == "bodies":
            return [self.random.randrange(level + 1, self.bodies) for _ in range(choose((1, 2, 2, 3)))]
        values = {
            "delay": DELAYS,
            "limit": LIMITS,
            "time": TIMES,
            "message": MESSAGES,
            "payload": PAYLOADS,
            "moment": range(10),
            "number": range(20),
            "small": range(4),
            "flag": (0, 0, 1),
            "pair": (0, 1),
            "slot": (0, 1, 2),
            "four": range(4),
        }
        return choose(values[kind])

    # Statements

    def fits(self, each, level, depth):
        if level + 1 >= self.bodies and ("body" in each.arguments or "bodies" in each.arguments):
            return False
        return depth < DEEPEST or not set(BLOCKS) & set(each.arguments)

    def statement(self, shapes, level, depth):
        while True:
            each = self.pick(shapes)
            if self.fits(each, level, depth):
                break
        identity = self.identity()
        return [each.name, identity, *(self.argument(kind, level, depth) for kind in each.arguments)]

    def block(self, level, depth, least, most):
        made = []
        for _ in range(self.random.randint(least, most)):
            shapes = self.plain if self.random.random() < 0.36 else self.waiting if depth < DEEPEST else self.flat
            made.append(self.statement(shapes, level, depth if shapes is not self.plain else 0))
        return made

    def generator(self):
        body = []
        for _ in range(self.random.randint(1, 4)):
            if self.random.random() < 0.6:
                body.append(["yield", self.identity(), self.random.randrange(100)])
            else:
                body += self.block(self.bodies, DEEPEST, 1, 1)
        return [self.identity(), body, self.block(self.bodies, DEEPEST, 0, 2)]

    def program(self):
        choose = self.random.choice
        queues = [[choose(("fifo", "fifo", "lifo", "priority")), choose((0, 1, 1, 2))] for _ in range(2)]
        generators = [self.generator(), self.generator()] if "generator" in self.themes else []
        bodies = []
        for level in range(self.bodies):
            start = []
            if level == 0:
                for _ in range(choose((1, 2, 3, 4))):
                    start.append(["create", self.identity(), self.task(), self.random.randrange(1, self.bodies)])
            depth = 0 if level == 0 else choose((0, 1))
            bodies.append([self.random.randrange(10), start + self.block(level, depth, 2, 6)])
        return [
            "program",
            ["queues", *queues],
            ["generators", *generators],
            ["bodies", *bodies],
            ["mains", choose((1, 1, 1, 2))],
        ]


def program(seed, number, avoided=frozenset()):
    """Program `number` of a series. `avoided` names statements and themes that are left out."""
    return _maker(random.Random(seed * 1_000_003 + number), avoided).program()


def programs(seed, count, avoided=frozenset(), first=0):
    return [program(seed, first + number, avoided) for number in range(count)]
