# SPDX-License-Identifier: BSL-1.0
"""Makes a program that shows a difference smaller while it shows the same one."""

import time

from comparison import both_sides, equal, signature
from language import BLOCKS, SHAPE, all_statements, dump

AT_ONCE = 40  # programs tried in one run of the other side
LISTS = ("tasks", "many", "bodies")
NUMBERS = ("delay", "limit", "time", "moment")


def shrink(executable, program, wanted, seconds):
    """The smallest program found in time whose first difference has the signature `wanted`."""
    end = time.monotonic() + seconds
    found = program
    while found is not None and time.monotonic() < end:
        program, found = found, None
        tried = list({dump(each): each for each in smaller(program)}.values())
        tried.sort(key=size)
        for start in range(0, len(tried), AT_ONCE):
            part = tried[start : start + AT_ONCE]
            for each, pair in zip(part, both_sides(executable, part)):
                if not equal(pair) and signature(each, pair) == wanted:
                    found = each
                    break
            if found is not None or time.monotonic() > end:
                break
    return program


def size(program):
    return len(dump(program).split(" "))


def smaller(program):
    """Every program that is one step simpler."""
    head, queues, generators, bodies, mains = program
    if mains[1] > 1:
        yield [head, queues, generators, bodies, ["mains", 1]]
    last = len(bodies) - 2
    if last > 0 and last not in _used(program) and not (last == 1 and mains[1] > 1):
        yield [head, queues, generators, bodies[:-1], mains]
    for index, (result, block) in enumerate(bodies[1:], 1):
        for new in _blocks(block):
            yield [head, queues, generators, [*bodies[:index], [result, new], *bodies[index + 1 :]], mains]
    for index, (identity, block, cleanup) in enumerate(generators[1:], 1):
        for one, two in [(new, cleanup) for new in _blocks(block)] + [(block, new) for new in _blocks(cleanup)]:
            changed = [*generators[:index], [identity, one, two], *generators[index + 1 :]]
            yield [head, queues, changed, bodies, mains]


def _used(program):
    used = set()
    for statement in all_statements(program):
        for kind, value in zip(SHAPE[statement[0]].arguments if statement[0] in SHAPE else (), statement[2:]):
            if kind == "body":
                used.add(value)
            elif kind == "bodies":
                used.update(value)
    return used


def _blocks(block):
    """Simpler forms of a block: less of it, a statement's inner block instead of it, a simpler statement."""
    if len(block) > 1:
        yield []
        half = len(block) // 2
        yield block[:half]
        yield block[half:]
    for index, statement in enumerate(block):
        before, after = block[:index], block[index + 1 :]
        yield before + after
        known = SHAPE.get(statement[0])
        if known is None:
            continue
        for place, kind in enumerate(known.arguments, 2):
            value = statement[place]
            if kind in BLOCKS:
                if value:
                    yield before + value + after
                for new in _blocks(value):
                    yield [*before, _with(statement, place, new), *after]
            for new in _simpler(kind, value):
                yield [*before, _with(statement, place, new), *after]


def _with(statement, place, value):
    return [*statement[:place], value, *statement[place + 1 :]]


def _simpler(kind, value):
    if kind in LISTS:
        for index in range(len(value)):
            yield value[:index] + value[index + 1 :]
    elif kind in NUMBERS and value is not None and value > 1:
        yield 1
    elif kind == "message" and value is not None:
        yield None
    elif kind == "flag" and value:
        yield 0
