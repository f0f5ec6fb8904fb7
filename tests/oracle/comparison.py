# SPDX-License-Identifier: BSL-1.0
"""Runs programs on both sides, and says where their traces differ."""

import gc
import re
import subprocess
import tempfile
from pathlib import Path

from language import all_statements, dump

GIVEN_UP = 77  # asynchio_oracle ended after a program that hangs
UNCLEAN = 3
_MESSAGE = re.compile(r"Cancelled(:\w+)?")


class asynchio_side:
    """The interpreter in C++, which reads many programs from one file."""

    def __init__(self, program, texts):
        self.command = [str(program)]
        self.texts = texts
        self.traces = [["MISSING"]] * len(texts)
        self.folder = tempfile.TemporaryDirectory()
        self.input = Path(self.folder.name) / "programs"
        self.input.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
        self.running = None
        self._start(0)

    def _start(self, first):
        self.first = first
        self.output = open(Path(self.folder.name) / "traces", "w+", encoding="utf-8")
        self.errors = open(Path(self.folder.name) / "errors", "w+", encoding="utf-8", errors="replace")
        command = [*self.command, str(self.input), "--from", str(first)]
        self.running = subprocess.Popen(command, stdout=self.output, stderr=self.errors)

    def finish(self):
        """Goes on behind a program that crashes or hangs. Returns the traces."""
        while True:
            try:
                status = self.running.wait(timeout=60 + len(self.texts) / 20)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()
                status = "timeout"
            last = self._read()
            if status in (0, UNCLEAN):
                break
            next_one = last + 1
            if status != GIVEN_UP:
                if next_one >= len(self.texts):  # a sanitizer's last words, for example
                    self.traces[last] = [*self.traces[last], f"EXIT {status} {self._last_words()}"]
                    break
                self.traces[next_one] = [f"CRASH {status} {self._last_words()}"]
                next_one += 1
            if next_one >= len(self.texts):
                break
            self._start(next_one)
        self.output.close()
        self.errors.close()
        self.folder.cleanup()
        return self.traces

    def _read(self):
        self.output.seek(0)
        last, trace = self.first - 1, []
        for line in self.output.read().splitlines():
            if line.startswith("#"):
                last = int(line[1:])
                trace = self.traces[last] = []
            else:
                trace.append(line)
        return last

    def _last_words(self):
        self.errors.seek(0)
        words = [line for line in self.errors.read().splitlines() if re.search(r"ERROR|error|what\(\)|terminate", line)]
        return " | ".join(words[:3])


def reference_traces(programs):
    """The traces of CPython's asyncio; reference.locate.use_asyncio() comes first."""
    from reference.run import run_program

    gc.disable()  # what a program has dropped goes at once, and nothing else does meanwhile
    traces = []
    for number, program in enumerate(programs):
        try:
            traces.append(run_program(program))
        except Exception as error:
            traces.append([f"PYTHON {type(error).__name__}: {error}"])
        if number % 100 == 99:
            gc.collect()
    return traces


def both_sides(executable, programs):
    """Pairs of traces, as they are compared."""
    other = asynchio_side(executable, [dump(each) for each in programs])
    mine = reference_traces(programs)
    return [
        (levelled(one, program), levelled(two, program)) for program, one, two in zip(programs, mine, other.finish())
    ]


def levelled(trace, program):
    """CPython's gather(return_exceptions=True) tells, cancelled, the message of the child that ended last."""
    for each in all_statements(program):
        if each[0] in ("gather", "wait_for_gather") and each[3] or each[0] == "nest_gathers" and each[5]:
            return [_MESSAGE.sub("Cancelled", line) for line in trace]
        if each[0].startswith("nest_") and each[-1]:
            return [_MESSAGE.sub("Cancelled", line) for line in trace]
    return trace


def same_line(one, two):
    """Whether they are equal; asynchio may know a message that CPython has lost."""
    if one == two:
        return True
    if _MESSAGE.sub("Cancelled", one) != _MESSAGE.sub("Cancelled", two):
        return False
    return all(mine in ("", its) for mine, its in zip(_MESSAGE.findall(one), _MESSAGE.findall(two)))


def equal(pair):
    return len(pair[0]) == len(pair[1]) and all(map(same_line, *pair))


def first_difference(pair):
    for index, (one, two) in enumerate(zip(*pair)):
        if not same_line(one, two):
            return index
    return min(map(len, pair))


def signature(program, pair):
    """What differs first, without numbers and names: programs of one cause have mostly one."""
    index = first_difference(pair)
    names = {str(each[1]): each[0] for each in all_statements(program)}

    def word(trace):
        if index >= len(trace):
            return "nothing"
        words = trace[index].split(" ")
        if len(words) < 4:
            return words[0]
        text = re.sub(r"\d+", "N", " ".join(words[3:5]))
        text = re.sub(r"(Cancelled|Boom):\w+", r"\1:M", text)
        return f"{names.get(words[2], words[2][:1])}: {text}"

    return f"{word(pair[0])} / {word(pair[1])}"


def side_by_side(program, pair):
    """The program and both traces: CPython's left, asynchio's right, a star where they differ first."""
    index = first_difference(pair)
    width = max([20, *map(len, pair[0])])
    lines = [dump(program), "", f"  {'CPython':{width}} | asynchio"]
    for number in range(max(map(len, pair))):
        left, right = (trace[number] if number < len(trace) else "" for trace in pair)
        lines.append(f"{'*' if number == index else ' '} {left:{width}} | {right}")
    return "\n".join(lines)
