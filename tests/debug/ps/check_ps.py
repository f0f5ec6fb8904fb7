#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs target.cpp, built in several ways, and compares what asynchio_ps.py reads from outside with what the program
prints itself.

    check_ps.py --script asynchio_ps.py --include INCLUDE --target TARGET --no-pie TARGET --no-rtti TARGET --host HOST
        --library LIBRARY [--other-compiler COMPILER] [--readings N] [--only CASE]...

What is not installed (gdb, gcore, lldb, strip) is left out, with a message. Exit status 1 when something differs.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

WAITS = ["sleep", "future", "task the first sleeper", "gather", "wait", "mutex", "event", "queue, get", "thread",
         "read_line", "task_group", "shield", "an awaiter", "wait_readable", "shield the first sleeper",
         "as_completed", "race"]
CASES = []


def case(function):
    CASES.append(function)
    return function


class Skipped(Exception):
    pass


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def check_same(found, wanted, what):
    if found == wanted:
        return
    for number, (left, right) in enumerate(zip(found.splitlines(), wanted.splitlines()), 1):
        if left != right:
            raise AssertionError(f"{what}: line {number} is\n  {left}\nand not\n  {right}")
    raise AssertionError(f"{what}: {len(found.splitlines())} lines, and not {len(wanted.splitlines())}\n{found[-500:]}")


class Target:
    """A program that runs until this object is left, and what it has printed up to the line "ready"."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(each) for each in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        data, end = b"", time.monotonic() + 120
        while not data.endswith(b"ready\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            part = os.read(self.process.stdout.fileno(), 1 << 16) if readable else b""
            if not part:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{command} did not become ready: {data[-300:]}")
            data += part
        self.text = data.decode()[:-len("ready\n")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def script(*arguments, status=0):
    """Runs the script. Returns what it prints; on stderr if it is to fail."""
    run = subprocess.run([sys.executable, options.script, *(str(each) for each in arguments)], capture_output=True,
                         text=True, timeout=120)
    check(run.returncode == status, f"{arguments}: exit status {run.returncode}, {run.stderr[-2000:]}")
    return run.stderr if status else run.stdout


def refusal(*arguments):
    text = script(*arguments, status=1)
    check(text.count("\n") == 1 and text.startswith("asynchio_ps: "), f"{arguments}: not one line, but {text!r}")
    return text


def tool(name):
    found = shutil.which(name)
    if found is None:
        raise Skipped(f"{name} is not installed")
    return found


def check_waits(target):
    for each in WAITS:
        check(re.search(rf": waiting for {re.escape(each)}(\n|,| Task)", target.text), f"nothing waits for {each}")
    check_same(script("dump", target.pid), target.text, "dump")


@case
def same_words_as_dump_tasks():
    for program in options.target, options.no_pie:
        with Target(program, "waits") as target:
            check_waits(target)
            check_same(script("ps", "--dump", target.pid), target.text, "ps --dump")


@case
def stripped():
    strip = tool("strip")
    for program in options.target, options.no_pie:
        bare = folder / "stripped"
        subprocess.run([strip, "-o", bare, program], check=True)
        with Target(bare, "waits") as target:
            check_waits(target)


@case
def deleted_while_it_runs():
    copy = folder / "deleted"
    shutil.copy(options.target, copy)
    with Target(copy, "waits") as target:
        copy.unlink()
        check_waits(target)


@case
def without_the_names_of_sections():
    """As where the files that are mapped cannot be opened."""
    class Blind(ps.Process):
        def open(self, mapping):
            raise OSError(13, "not here")

    with Target(options.target, "waits") as target:
        lines = []
        ps.print_dump(ps.Snapshot(ps.Reader(Blind(target.pid))), None, lines.append)
        check_same("\n".join(lines) + "\n", target.text, "dump")


@case
def without_type_information():
    """What a task waits for is not known then; its name, its state and its lines are."""
    def known(text):
        text = re.sub(r"waiting for .*?(?=, cancelling|\n)", "waiting for an awaiter", text)
        return re.sub(r"    created at .*\n", "", text)

    with Target(options.no_rtti, "waits") as target:
        text = script("dump", target.pid)
        check_same(known(text), known(target.text), "dump")
        check(len(re.findall(r"waiting for (?!an awaiter)", text)) == 0, "a word that is not known")
        check("part of Task-6: waiting for an awaiter\n" in script("pstree", target.pid), "no tree")


@case
def another_compiler():
    if not options.other_compiler:
        raise Skipped("only one compiler is installed")
    program = folder / "other"
    flags = ["-std=c++20", "-O2", "-pthread", "-w", f"-I{options.include}"]
    source = pathlib.Path(__file__).with_name("target.cpp")
    subprocess.run([options.other_compiler, *flags, source, "-o", program], check=True)
    with Target(program, "waits") as target:
        check_waits(target)


@case
def two_copies_of_the_library():
    with Target(options.host, options.library, "waits") as target:
        text = script("dump", target.pid)
        check(target.text in text, "the tasks of the plugin are not there")
        check("a task of the host: waiting for sleep\n" in text, "the task of the host is not there")
        loops = json.loads(script("ps", "--json", target.pid))["loops"]
        check(len(loops) == 2, f"{len(loops)} loops, and not 2")


@case
def one_line_for_each_task():
    with Target(options.target, "waits") as target:
        rows = script("ps", target.pid).splitlines()
        tasks = [line for line in target.text.splitlines() if not line.startswith("    ")]
        check(len(rows) == len(tasks), f"{len(rows)} lines for {len(tasks)} tasks")
        for row, task in zip(rows, tasks):
            name, state = task.split(": ", 1)
            check(row.startswith(name) and state.split(",")[0] in row, f"{row} is not {task}")
        sleeper = next(row for row in rows if row.startswith("the first sleeper"))
        check(re.search(r"sleeps +target.cpp:\d+ +.*co_await aio::sleep\(1h\)", sleeper), sleeper)
        own = next(row for row in rows if "waits_its_own_way" in row)
        check("an awaiter ((anonymous namespace)::own_wait)" in own, own)
        check("wait_for.hpp" not in script("ps", target.pid), "a library's line is shown")
        in_time = next(row for row in script("pstree", "--all", target.pid).splitlines() if "run_wait_for" in row)
        check("wait_for.hpp:" in in_time, in_time)


@case
def who_awaits_whom():
    with Target(options.target, "waits") as target:
        tasks = {each["id"]: each for each in json.loads(script("ps", "--json", target.pid))["loops"][0]["tasks"]}

        def awaited(function):
            one = [each for each in tasks.values() if each["frames"] and each["frames"][-1]["function"].endswith(function)]
            check(len(one) == 1, f"{len(one)} tasks of {function}")
            for number in one[0]["awaits"]:
                check(one[0]["id"] in tasks[number]["awaited_by"], f"{function}: not awaited back")
            return [("part" if tasks[number]["branch"] else tasks[number]["frames"][-1]["function"].split("::")[-1])
                    for number in one[0]["awaits"]]

        for function, wanted in (("::waits_for_task", ["sleeps"]), ("::gathers", ["sleeps", "part", "sleeps_deeper"]),
                                 ("::waits", ["sleeps", "sleeps_deeper"]), ("::in_group", ["sleeps", "sleeps_deeper"]),
                                 ("::takes_as_completed", ["sleeps", "sleeps_deeper"]), ("::races", ["sleeps", "sleeps"]),
                                 ("::shields", ["sleeps"]), ("::shields_handle", ["sleeps"]), ("::gets", [])):
            check(awaited(function) == wanted, f"{function} awaits {awaited(function)}, and not {wanted}")
    with Target(options.target, "circle") as target:
        text = script("pstree", target.pid)
        check("above: a cycle of 2\n" in text, text)


@case
def deep_chains():
    with Target(options.target, "chain", 100000) as target:
        lines = script("dump", target.pid).splitlines()
        check(sum("deep" in line for line in lines) == 100000, f"{len(lines)} lines")
        check("own_wait" in script("ps", target.pid), "the innermost line is missing")
    with Target(options.target, "graph", 5000) as target:
        lines = script("pstree", target.pid).splitlines()
        check(sum(line.endswith("waits_for_task(aio::task_handle<> task) { co_await task; }") for line in lines) == 4999,
              f"{len(lines)} lines")
        check(max(len(line) for line in lines) < 300, "lines grow with the depth")


@case
def programs_that_change_all_the_time():
    with Target(options.target, "churn") as target:
        names, begin, complete = re.compile(r"Task-\d+$"), time.monotonic(), 0
        for _ in range(options.readings):
            reader = ps.Reader(ps.Process(target.pid))
            snapshot = ps.Snapshot(reader, True)
            lines = []
            for printer in ps.print_ps, ps.print_pstree, ps.print_dump, ps.print_json:
                printer(snapshot, argparse.Namespace(all=False), lines.append)
            check(all(names.match(each.name()) for each in snapshot.tasks.values()), "a name that no task has")
            numbers = [each.number for each in snapshot.loops[0].tasks]
            check(not snapshot.complete() or numbers[:2] == [1, 2] and numbers == sorted(set(numbers)),
                  f"tasks that were not there at one time: {numbers}")
            complete += snapshot.complete()
        took = time.monotonic() - begin
        check(took < 30, f"{options.readings} readings took {took:.1f} s")
        # How many find all tasks depends on the machine: on a second processor the list changes under every reading.
        print(f"  {complete} of {options.readings} readings found all tasks")
        counts = script("waits", target.pid, "--seconds", 0.5).splitlines()
        check(any(re.search(r"churn;.*end_of_input;\[thread\] \d+$", line) for line in counts), str(counts))
        text = script("top", target.pid, "--count", 2, "--interval", 0.1)
        check(len(re.findall(r"^loop 1: \d+ tasks", text, re.M)) == 2 and "started " in text, text)


@case
def many_tasks():
    with Target(options.target, "many", 10000) as target:
        check(script("ps", target.pid).count("waiting for sleep") == 10000, "tasks are missing")


@case
def top_ends_quietly():
    with Target(options.target, "many", 3) as target:
        command = [sys.executable, options.script, "top", str(target.pid), "--interval", "0.05"]
        for way in "interrupted", "pipe closed":
            top = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            check(top.stdout.readline().startswith("loop 1: 4 tasks"), "the first line")
            if way == "interrupted":
                top.send_signal(signal.SIGINT)
            top.stdout.close()
            error = top.stderr.read()
            top.stderr.close()
            check(top.wait(60) == 0 and error == "", f"{way}: status {top.returncode}, {error}")
        top = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        top.stdout.readline()
        target.process.kill()
        target.process.wait()
        _, error = top.communicate(timeout=60)
        check(top.returncode == 0 and "has ended" in error, error)


@contextlib.contextmanager
def core_of(program):
    gcore = tool("gcore")
    with Target(program, "waits") as target:
        run = subprocess.run([gcore, "-o", folder / "core", str(target.pid)], capture_output=True, text=True)
        core = folder / f"core.{target.pid}"
        if run.returncode != 0 or not core.exists():
            raise Skipped(f"gcore cannot make a core here: {run.stderr.strip()[-200:]}")
        text = target.text
    yield core, text
    core.unlink()


@case
def core_files():
    for program in options.target, options.no_pie:
        with core_of(program) as (core, text):
            check_same(script("dump", "--core", core, program), text, "dump of a core")
            check("waiting for event" in script("ps", "--core", core, program), "ps of a core")
            check("part of Task-6" in script("pstree", "--core", core, program), "pstree of a core")
            check("is not the program that made" in refusal("ps", "--core", core, sys.executable), "another program")
            cut = folder / "cut"
            cut.write_bytes(core.read_bytes()[:core.stat().st_size // 2])
            check("is truncated" in refusal("ps", "--core", cut, program), "a truncated core")
            with open(core, "rb") as file:
                end = max(each[2] + each[4] for each in ps.Elf(file).segments())
            cut.write_bytes(core.read_bytes()[:end - 1])
            check("is truncated" in refusal("ps", "--core", cut, program), "a core without the last byte of memory")
            cut.write_bytes(core.read_bytes()[:70])
            check("is truncated" in refusal("ps", "--core", cut, program), "a truncated core")
            try_in_gdb(text, [program, core], "gdb with a core")


def try_in_gdb(text, what, name):
    command = [tool("gdb"), "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", f"source {options.script}",
               "-ex", "asynchio dump", "-ex", "asynchio pstree", "-ex", "asynchio nothing", *(str(each) for each in what)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if "ptrace: Operation not permitted" in run.stderr:
        raise Skipped("gdb may not attach here")
    check(text in run.stdout, f"{name}: {run.stdout[-2000:]}{run.stderr[-2000:]}")
    check("part of Task-6: waiting for sleep" in run.stdout, f"{name}: no tree")
    check("invalid choice" in run.stderr and "Traceback" not in run.stderr, run.stderr)


@case
def in_gdb():
    with Target(options.target, "waits") as target:
        try_in_gdb(target.text, ["-p", target.pid], "gdb with a process")


@case
def in_lldb():
    command = [tool("lldb"), "--no-lldbinit", "--batch"]
    # Debian's lldb looks for its own module where that is not.
    modules = ":".join(map(str, pathlib.Path("/usr/lib").glob("llvm-*/lib/python3*/*-packages")))
    environment = {**os.environ, "PYTHONPATH": modules} if modules else None
    tried = subprocess.run([*command, "-o", "script print('with', lldb.SBDebugger.__name__)"], capture_output=True, text=True,
                           timeout=120, env=environment)
    if "with SBDebugger" not in tried.stdout:
        raise Skipped("this lldb has no Python, or misses its module")
    with Target(options.target, "waits") as target:
        run = subprocess.run([*command, "-p", str(target.pid), "-o", f"command script import {options.script}", "-o",
                              "asynchio dump"], capture_output=True, text=True, timeout=120, env=environment)
        check(target.text in run.stdout, run.stdout[-2000:] + run.stderr[-2000:])


@case
def bad_input():
    check("is not the number of a process" in refusal("ps", "target"), "a word")
    check("which process?" in refusal("ps"), "nothing")
    check("invalid choice" in refusal("list", 1), "an unknown command")
    check("is not a duration" in refusal("waits", 1, "--seconds", -1), "a negative time")
    check("needs a running process" in refusal("top", "--core", "a", "b"), "top of a core")
    check("give either" in refusal("ps", 1, "--core", "a", "b"), "both")
    check("cannot be read" in refusal("ps", "--core", folder / "nothing", sys.executable), "no core")
    check("is not a core file" in refusal("ps", "--core", options.script, sys.executable), "a text as a core")
    check("is not a core file" in refusal("ps", "--core", options.target, options.target), "a program as a core")
    old = folder / "of32bits"
    old.write_bytes(b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x04\0" + bytes(100))
    check("32-bit program" in refusal("ps", "--core", old, options.target), "a 32-bit core")
    ended = subprocess.Popen(["true"])
    ended.wait()
    check("there is no process" in refusal("ps", ended.pid), "an ended process")
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    check("has ended" in refusal("ps", zombie.pid), "a zombie")
    zombie.wait()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        check("no table of asynchio" in refusal("ps", other.pid), "a program without the library")
    header = pathlib.Path(options.include, "asynchio/version.hpp").read_text(encoding="utf-8")
    version = ".".join(re.findall(r"#define ASYNCHIO_VERSION_\w+ (\d+)", header))
    check(script("--version") == f"asynchio_ps.py {version}, table 1\n", "--version")
    check("PID" in script("--help"), "--help")


@case
def another_version():
    program = folder / "newer"
    data = pathlib.Path(options.target).read_bytes()
    check(data.count(ps.MAGIC) == 1, "the table is in the program once")
    at = data.find(ps.MAGIC) + 16
    program.write_bytes(data[:at] + b"\x63" + data[at + 1:])
    program.chmod(0o755)
    with Target(program, "many", 1) as target:
        check("version 99 of the table" in refusal("ps", target.pid), "another version")


@case
def no_permission():
    if os.geteuid() != 0:
        raise Skipped("only root can become somebody else")
    with Target(options.target, "many", 1) as target:
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writes, 2)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            status = ps.main(["ps", str(target.pid)])
            sys.stderr.flush()
            os._exit(status)
        os.close(writes)
        with open(reads, encoding="utf-8") as file:
            text = file.read()
        check(os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 1, text)
        check("no permission to read the memory" in text and text.count("\n") == 1, text)


@case
def words_of_all_classes():
    """A class of awaiters whose name of the wait is constant must be known by the script."""
    found = {}
    for path in pathlib.Path(options.include).rglob("*.hpp"):
        name = None
        for line in path.read_text(encoding="utf-8").splitlines():
            head = re.match(r"\s*(?:class|struct)(?: \[\[.*?\]\])? (?:\w+(?:<\w+>)?::)*(\w+)(?: final)?( :|$)", line)
            name = head[1] if head else name
            word = re.search(r'waiting_for\(\) const noexcept override { return "(.*)"; }', line)
            if word:
                found[name] = word[1]
    check(found == ps.WORDS, f"asynchio_ps.py has {sorted(set(ps.WORDS.items()) ^ set(found.items()))}")


@case
def names():
    for mangled, plain in (
        ("N8asynchio6detail14handle_awaiterIiLb1EEE", "asynchio::detail::handle_awaiter"),
        ("N8asynchio6detail12gather_tupleILb0EJNS0_11owned_childIvLb0EPNS0_13basic_outcomeIvNS0_5frameEEELb1EEEEEE",
         "asynchio::detail::gather_tuple"),
        ("N8asynchio21as_completed_iteratorINS_11task_handleIiEEE12next_awaiterE",
         "asynchio::as_completed_iterator::next_awaiter"),
        ("N12_GLOBAL__N_18own_waitE", "(anonymous namespace)::own_wait"),
        ("3own", "own"), ("3ownIiE", "own"), ("N3app3ownILNS_4kindE1EEE", "app::own"),
        ("Z4mainE3own", "main()::own"), ("ZN3app1fEiE3own", "app::f()::own"), ("N", "N"), ("", ""),
    ):
        check(ps.plain_name(mangled) == plain, f"{mangled} is {ps.plain_name(mangled)}, and not {plain}")
    for full, short in (
        ("asynchio::task<int> {anonymous}::middle(std::string)", "{anonymous}::middle"),
        ("void f(f(int)::_Z1fi.Frame*)", "f"), ("main()::<lambda()>", "main()::<lambda()>"),
        ("auto g(T) [with T = int]", "g"), ("int *h(int) const", "h"), ("", ""),
    ):
        check(ps.function_name(full) == short, f"{full} is {ps.function_name(full)}, and not {short}")


def main():
    failed = 0
    for each in CASES:
        name = each.__name__
        if options.only and name not in options.only:
            continue
        begin = time.monotonic()
        try:
            each()
            print(f"{name}: {time.monotonic() - begin:.1f} s")
        except Skipped as reason:
            print(f"{name}: skipped, {reason}")
        except Exception as error:
            print(f"{name}: FAILED, {type(error).__name__}: {error}")
            failed += 1
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    for argument in "--script", "--include", "--target", "--no-pie", "--no-rtti", "--host", "--library":
        arguments.add_argument(argument, required=True)
    arguments.add_argument("--other-compiler")
    arguments.add_argument("--readings", type=int, default=100)
    arguments.add_argument("--only", action="append")
    options = arguments.parse_args()
    specification = importlib.util.spec_from_file_location("asynchio_ps", options.script)
    ps = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(ps)
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = pathlib.Path(name_of_folder)
        sys.exit(main())
