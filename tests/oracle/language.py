# SPDX-License-Identifier: BSL-1.0
"""The language of the oracle's programs: its text, and what each statement takes.

A program is one S-expression on one line; README.md describes it. Both interpreters know the statements by name; the
generator and the shrinker know them only from the table below.
"""

import re
from dataclasses import dataclass

TASKS, FUTURES, SLOTS = 8, 3, 3


@dataclass(frozen=True)
class shape:
    """What one kind of statement looks like: `(name id argument...)`."""

    name: str
    arguments: tuple
    theme: str
    weight: float
    waits: bool  # may await: does not stand in callbacks and threads


def _rows(text, waits):
    theme = None
    for line in text.strip().splitlines():
        line = line.strip()
        if line.startswith("["):
            theme = line.strip("[]") or None
            continue
        name, weight, *arguments = line.split()
        yield shape(name, tuple(arguments), theme, float(weight), waits)


# Argument kinds. task, future, any, tasks, many: what is looked at (t3, f0, lists of
# one kind). body: a later body, so that
# programs end. block, plain, remote: statements that may await, that may not, and those of another thread. delay, limit, time (a limit that
# is not below 0), moment, number, message, flag, slot, pair, three, four, and
# word:a,b for one of the words given.
PLAIN = """
[]
log 2
create 4 task body
cancel 5 task message
status 1 any
cancelling .5 task
uncancel .7 task
raise 1.2 word:x,y,z
raise_cancelled .15 message
result .4 any
exception .3 any
tasks .2
[myself]
cancel_me 2 message
uncancel_me 1
cancelling_me 1
[future]
set_result 3 future number
set_exception 1.3 future word:p,q,cancelled
cancel_future 1.3 future message
[callback]
done_callback 2 any slot plain
soon 1.5 slot plain
later 1.5 slot delay plain
at .7 slot moment plain
cancel_call 1 slot
remove_callback .7 slot
[event]
event_set 2 pair
event_clear 1 pair
[lock]
lock_release 1.5 pair
locked .5
[semaphore]
semaphore_release 2.5 four
locked .5
[condition]
notify 2.5 pair word:all,1,1,2,0
variable 1 pair small
condition_release .4 pair
[barrier]
barrier_state .7 pair
[queue]
put_nowait 2.5 pair number
get_nowait 1 pair
task_done 1 pair
queue_shutdown .35 pair flag
queue_state .5 pair
[group]
group_create 4 pair task body
group_cancel .8 pair
[timeout]
reschedule 1 pair limit
[context]
context_set 2 pair small
context_get 2 pair
context_mark 1 pair small slot
context_reset 1 slot
context_copy .7 slot
context_run .7 slot plain
context_create 1 slot task body
[eager]
eager 3 task body
group_eager 1 pair task body
[generator]
generator_drop .6 pair
[thread]
thread 2 remote
post 2 plain
submit 3 slot body
submitted_state 1.5 slot
submitted_cancel 1 slot
[stream]
write_eof .5 pair
close_writer .4 pair
close_reader .3 pair
"""

WAITING = """
[]
sleep 6 delay
await 4 any
nothrow .6 task
call .7 body
repeat .5 word:2,2,3 block
try 3 block word:cancel,cancel,cancel,all,all,error,error,timeout,group,boom block flag
finally 1.3 block block
[gather]
gather 5 many flag
gather_owned 2 bodies flag
[nested]
nest_gathers 2 many tasks flag flag
nest_one 1.5 tasks any flag
nest_shield 1.5 any tasks flag
nest_three 1 tasks any task flag
wait_for_nest 1.5 many tasks limit
[race]
race 4 many
race_owned 2 bodies
[wait]
wait 4 many word:all,first,exception time
[completed]
as_completed 4 many time word:1,2,9,9 block
[wait_for]
wait_for 4 any limit
wait_for_body 3 limit block
wait_for_gather 2 many flag limit
[shield]
shield 4 any
wait_for_shield 2 any limit
[timeout]
timeout 6 pair limit block
[group]
group 6 pair block
[lock]
lock 4 pair block
lock_acquire 2 pair
[semaphore]
semaphore 4 four block
semaphore_acquire 2 four
[event]
event_wait 4 pair
[condition]
condition 5 pair block
condition_wait 3 pair
condition_wait_for 2 pair pair small
[barrier]
barrier_wait 5 pair
barrier_with 1 pair block
barrier_abort .4 pair
barrier_reset .7 pair
[queue]
put 3 pair number
get 4 pair
join 1 pair
[generator]
generator_open 2 pair pair
generator_next 4 pair
generator_close 1.5 pair
generator_for 3 pair word:1,2,9 block
generator_leave 1.2 pair word:1,2 block
[thread]
to_thread 2 pair remote
in_executor 2 pair remote
await_submitted 1.5 slot
[stream]
write 5 pair payload
read 3 pair
read_exactly 1.5 pair word:1,3,6
read_line 2 pair
read_until 1 pair
read_all .7 pair
"""

SHAPES = tuple(_rows(PLAIN, False)) + tuple(_rows(WAITING, True))
SHAPE = {each.name: each for each in SHAPES}
THEMES = sorted({each.theme for each in SHAPES if each.theme})
BLOCKS = ("block", "plain", "remote")
# What code on another thread may do.
REMOTE = ("log", "raise", "post", "submit", "submitted_state", "submitted_cancel", "context_set", "context_get")

_TOKEN = re.compile(r"[()]|[^\s()]+")


def parse(text):
    """A program from its text: lists of lists, numbers, words, and None for `-`."""
    stack, current = [], []
    for token in _TOKEN.findall(text):
        if token == "(":
            stack.append(current)
            current = []
        elif token == ")":
            done, current = current, stack.pop()
            current.append(done)
        elif token == "-":
            current.append(None)
        else:
            current.append(int(token) if token.lstrip("-").isdigit() else token)
    return current[0]


def dump(part):
    """The text of a program, or of a part of one."""
    if isinstance(part, (list, tuple)):
        return "(" + " ".join(map(dump, part)) + ")"
    return "-" if part is None else str(part)


def statements(block):
    """Every statement of a block, at any depth."""
    for statement in block:
        yield statement
        for kind, argument in arguments(statement):
            if kind in BLOCKS:
                yield from statements(argument)


def arguments(statement):
    """The kinds and values of a statement's arguments; nothing for a `yield`."""
    known = SHAPE.get(statement[0])
    return zip(known.arguments, statement[2:]) if known else ()


def blocks(program):
    """The outermost blocks of a program: of its bodies and generators."""
    _, _, generators, bodies, _ = program
    for each in generators[1:]:
        yield each[1]
        yield each[2]
    for each in bodies[1:]:
        yield each[1]


def all_statements(program):
    for block in blocks(program):
        yield from statements(block)
