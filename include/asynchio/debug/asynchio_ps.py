#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Prints the tasks of a running program that uses asynchio, or of its core file, and where they wait.

    asynchio_ps.py ps PID                    one line for each task: its name, what it waits for, and the line
    asynchio_ps.py pstree PID                which task waits for which, with the coroutines of each
    asynchio_ps.py waits PID --seconds 5     where tasks wait, as folded stacks for a flame graph
    asynchio_ps.py top PID                   what changes, again each second
    asynchio_ps.py dump PID                  the text that the program's own dump_tasks() prints
    asynchio_ps.py ps --core FILE EXECUTABLE the same for a core file; also pstree and dump

    asynchio_ps.py tasks --socket PATH       ask a program that serves a socket; also tree, metrics, and profile or trace --seconds 5

    (gdb)  source asynchio_ps.py                   then: asynchio ps, asynchio pstree, asynchio dump
    (lldb) command script import asynchio_ps.py    then the same

The program needs no preparation: the library puts a table of its layout into a section named asynchio_ps, which strip
leaves alone. This script reads that table and the memory of the program; it never writes, and never stops the program.
What changes while it is read is read again.
"""

import argparse
import bisect
import ctypes
import json
import linecache
import mmap
import os
import re
import shutil
import socket
import struct
import sys
import time

VERSION = "0.1.0"
TABLE_VERSION = 1
MAGIC = b"asynchio_tasks\n\0"
SECTION = b"asynchio_ps"
PAGE = 4096
QUESTIONS = ["tasks", "tree", "metrics", "profile", "trace"]  # which a program answers at its socket

# The fields of asynchio::detail::inspection_table, in order: those of four bytes, and those of eight.
HEAD = "version size pointer_size promise_in_coroutine"
ADDRESSES = """loops first_loop link_prev link_next
    loop_prev loop_tasks loop_running loop_iterations loop_thread loop_interrupted
    thread_current interrupted_task interrupted_outer
    task_prev task_flags task_watchers task_loop task_awaited_at task_extra_word task_waiting_for task_resume_point
    task_what task_cancels task_id task_parent task_owner task_made_at task_place extra_name text_size
    named_word item_waiting_for"""
NUMBERS = """task_size text_begin watcher_size suspension_size extra_tags inner_tag
    step root branch done waiting future started owned"""
TABLE = (["magic"] + HEAD.split() + ADDRESSES.split() + NUMBERS.split())
TABLE_LAYOUT = f"16s{len(HEAD.split())}I{len(ADDRESSES.split())}Q{len(NUMBERS.split())}I"

# What the classes of the library that always wait for the same thing call it. The names of the others are data.
WORDS = {
    "sleep_awaiter": "sleep", "tick_awaiter": "interval", "foreign_awaiter": "a foreign awaiter",
    "completion_awaiter": "completion", "threadsafe_put": "threadsafe_queue put",
    "threadsafe_get": "threadsafe_queue get", "to_thread_awaiter": "thread", "start_wait": "task_group::start",
    "race_tuple": "race", "race_range": "race", "cancelled_at_once": "wait_for", "asked_to_end": "wait_for",
    "shield_awaiter": "shield", "next_awaiter": "as_completed", "wait_awaiter": "wait", "gather_tuple": "gather",
    "gather_range": "gather", "connect_race": "connect", "settled": "the end of a task",
    "parallel_run": "parallel", "ring_operation": "file", "reply_awaiter": "a reply of Redis",
}
# Those that wait for one child: dump_tasks names it.
ONE_CHILD = {"shield_awaiter", "asked_to_end"}
AN_AWAITER = "an awaiter"

LIBRARY_FILE = re.compile(r"(^|[/\\])asynchio[/\\](adapters|combine|core|debug|io|loop|sync|task|testing|thread)[/\\]"
                          r"(detail[/\\])?[^/\\]+\.hpp$")


class Failure(Exception):
    """Ends the script with a message of one line for its user."""


class Ended(Failure):
    """The program has ended meanwhile."""


class Unreadable(Exception):
    """There is no memory at an address."""


class Torn(Exception):
    """What was read does not fit together: the program has changed it meanwhile."""


# --- Memory: of a process, of a core file, or of what a debugger debugs.


class Memory:
    """Reads by pages, which it keeps until forget() is called."""

    def __init__(self):
        self.pages = {}

    def fetch(self, address, size):
        """Returns the bytes as they are now. Raises Unreadable."""
        raise NotImplementedError

    def tables(self):
        """Yields the addresses at which a table may be."""
        raise NotImplementedError

    def forget(self):
        self.pages.clear()

    def read(self, address, size):
        number, begin = divmod(address, PAGE)
        page = self.pages.get(number)
        if page is None:
            page = self.pages[number] = self.page(number)
        if begin + size <= PAGE and page:
            return page[begin:begin + size]
        if not page:
            return self.fetch(address, size)
        return page[begin:] + self.read((number + 1) * PAGE, size - (PAGE - begin))

    def page(self, number):
        if not 0 < number < 1 << 52:
            raise Unreadable(number * PAGE)
        try:
            return self.fetch(number * PAGE, PAGE)
        except Unreadable:
            return b""  # a part of it may be there


class Elf:
    """A file of a program or library, of 64 bits."""

    def __init__(self, file):
        try:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # an empty file, or none that can be mapped
            self.data = b""
        self.is_elf = self.data[:4] == b"\x7fELF" and len(self.data) >= 64
        self.bits = {1: 32, 2: 64}.get(self.data[4]) if self.is_elf else None
        self.order = ">" if self.is_elf and self.data[5] == 2 else "<"

    def unpack(self, layout, offset):
        return struct.unpack_from(self.order + layout, self.data, offset)

    def kind(self):
        return self.unpack("H", 16)[0]

    def segments(self):
        """Yields (type, flags, offset, address, size in the file, size in memory)."""
        offset, = self.unpack("Q", 32)
        size, count = self.unpack("HH", 54)
        if count == 0xffff:  # the number stands in the first section, as in cores of many mappings
            sections, = self.unpack("Q", 40)
            count, = self.unpack("I", sections + 44)
        for i in range(count):
            kind, flags, begin, address, _, in_file, in_memory = self.unpack("IIQQQQQ", offset + i * size)
            yield kind, flags, begin, address, in_file, in_memory

    def section(self, name):
        """Returns the place of a section in the file, None without it."""
        try:
            offset, = self.unpack("Q", 40)
            size, count, names = self.unpack("HHH", 58)
            if offset == 0:
                return None
            if count == 0:
                count, = self.unpack("Q", offset + 32)
            if names == 0xffff:
                names, = self.unpack("I", offset + 40)
            names, = self.unpack("Q", offset + names * size + 24)
            for i in range(count):
                at, = self.unpack("I", offset + i * size)
                if self.data[names + at:names + at + len(name) + 1] == name + b"\0":
                    return self.unpack("Q", offset + i * size + 24)[0]
        except struct.error:  # a file that was cut off, or is no program
            pass
        return None


class Mapping:
    """A part of a file in memory."""

    def __init__(self, begin, end, offset, path, reads, opened):
        self.begin, self.end, self.offset, self.path, self.reads, self.opened = begin, end, offset, path, reads, opened


class MappedMemory(Memory):
    """Memory into which files are mapped."""

    def mappings(self):
        raise NotImplementedError

    def open(self, mapping):
        """Opens the file that is mapped. Raises OSError."""
        return open(mapping.opened, "rb")

    def tables(self):
        files = {}
        for each in self.mappings():
            files.setdefault(each.path, []).append(each)
        for path, parts in files.items():
            place = None
            try:
                with self.open(parts[0]) as file:
                    elf = Elf(file)
            except OSError:
                elf = None
            if elf is not None:
                if elf.bits != 64:
                    continue
                place = elf.section(SECTION)
                if place is None and elf.unpack("Q", 40)[0] != 0:
                    continue
            if place is not None:
                for each in parts:
                    if each.offset <= place < each.offset + each.end - each.begin:
                        yield each.begin + place - each.offset
            else:  # the file is gone, or has no names of sections
                yield from self.search(parts)

    def search(self, parts):
        """Yields where the first words of the table stand in the mapped parts of a program or library."""
        try:
            if self.fetch(parts[0].begin, 4) != b"\x7fELF":
                return
        except Unreadable:
            return
        for each in parts:
            for begin in range(each.begin, each.end, 1 << 20) if each.reads else ():
                try:
                    data = self.fetch(begin, min((1 << 20) + 64, each.end - begin))
                except Unreadable:
                    break
                at = data.find(MAGIC)
                while at >= 0:
                    yield begin + at
                    at = data.find(MAGIC, at + 1)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class Process(MappedMemory):
    """The memory of a process, by process_vm_readv, or through /proc where there is no such call."""

    def __init__(self, pid):
        super().__init__()
        self.pid = pid
        if not os.path.isdir("/proc/self"):
            raise Failure("there is no /proc here; on other systems than Linux use lldb: "
                          "(lldb) command script import asynchio_ps.py")
        if not os.path.isdir(f"/proc/{pid}"):
            raise Failure(f"there is no process {pid}; `pgrep -a NAME` prints the numbers of processes")
        self.file = None
        try:
            call = ctypes.CDLL(None, use_errno=True).process_vm_readv
            call.restype = ctypes.c_ssize_t
            call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong,
                             ctypes.c_ulong]
            self.call = call
        except (OSError, AttributeError):
            self.call = None
        self.buffer = ctypes.create_string_buffer(PAGE)
        self.local, self.remote = Vector(ctypes.addressof(self.buffer), 0), Vector(0, 0)
        self.at = ctypes.addressof(self.local), ctypes.addressof(self.remote)
        try:
            with open(f"/proc/{pid}/exe", "rb") as file:
                elf = Elf(file)
            if elf.is_elf and elf.bits != 64:
                raise Failure(f"process {pid} is a 32-bit program, and this script reads programs of 64 bits only; "
                              f"build it with -m64, or call dump_tasks() in it")
        except OSError as error:
            self.explain(error)

    def explain(self, error):
        """Raises the Failure that says why the process cannot be read, if that is so."""
        if error.errno in (1, 13):
            try:
                with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
                    scope = file.read().strip()
            except OSError:
                scope = "0"
            ways = "run this as the user of the process, or as root; in a container, start it with --cap-add=SYS_PTRACE"
            if scope != "0":
                ways += (f"; kernel.yama.ptrace_scope is {scope}: `sysctl kernel.yama.ptrace_scope=0` as root, or have "
                         f"the program call prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY)")
            raise Failure(f"no permission to read the memory of process {self.pid}: {ways}")
        if error.errno in (2, 3):
            if os.path.isdir(f"/proc/{self.pid}"):
                try:
                    with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as file:
                        state = file.read().rpartition(")")[2].split()[0]
                except (OSError, IndexError):
                    state = "X"
                if state not in "ZX":
                    raise Failure(f"process {self.pid} has no program: it belongs to the kernel")
            raise Ended(f"process {self.pid} has ended")

    def fetch(self, address, size):
        if self.call is None or size > PAGE:
            return self.fetch_from_file(address, size)
        self.local.size = self.remote.size = size
        self.remote.base = address
        got = self.call(self.pid, self.at[0], 1, self.at[1], 1, 0)
        if got == size:
            return self.buffer.raw[:size] if size != PAGE else self.buffer.raw
        if got < 0:
            number = ctypes.get_errno()
            if number == 38:  # there is no such call
                self.call = None
                return self.fetch(address, size)
            if number != 14:
                self.explain(OSError(number, os.strerror(number)))
        raise Unreadable(address)

    def fetch_from_file(self, address, size):
        try:
            if self.file is None:
                self.file = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
            data = os.pread(self.file, size, address)
        except OverflowError:
            raise Unreadable(address) from None
        except OSError as error:
            self.explain(error)
            raise Unreadable(address) from None
        if len(data) != size:
            if not data:
                self.explain(OSError(3, "the memory is gone"))
            raise Unreadable(address)
        return data

    def mappings(self):
        try:
            with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().splitlines()
        except OSError as error:
            self.explain(error)
            raise Failure(f"/proc/{self.pid}/maps cannot be read: {error.strerror}") from None
        if not lines:
            self.explain(OSError(3, "no memory"))
        for line in lines:
            parts = line.split(None, 5)
            if len(parts) < 6 or not parts[5].startswith("/"):
                continue
            begin, end = (int(each, 16) for each in parts[0].split("-"))
            yield Mapping(begin, end, int(parts[2], 16), parts[5], parts[1][0] == "r", parts[0])

    def open(self, mapping):
        path = mapping.path
        begin, end = mapping.opened.split("-")
        places = [f"/proc/{self.pid}/map_files/{begin.lstrip('0') or '0'}-{end.lstrip('0')}"]
        if not path.endswith(" (deleted)"):
            places.append(f"/proc/{self.pid}/root{path}")
        for place in places:
            try:
                if os.path.isfile(place):
                    return open(place, "rb")
            except OSError:
                continue
        if os.path.realpath(f"/proc/{self.pid}/exe") == path:
            return open(f"/proc/{self.pid}/exe", "rb")
        raise FileNotFoundError(2, "not there", path)


class Core(MappedMemory):
    """The memory in a core file. What it lacks, such as constant data, comes from the files that were mapped."""

    def __init__(self, path, executable):
        super().__init__()
        self.path = path
        elf = self.opened(path)
        if not elf.is_elf or elf.bits is not None and elf.bits == 64 and elf.kind() != 4:
            raise Failure(f"{path} is not a core file; `gcore PID` makes one of a running program")
        if elf.bits != 64:
            raise Failure(f"{path} is the core of a 32-bit program, and this script reads programs of 64 bits only")
        program = self.opened(executable)
        if not program.is_elf:
            raise Failure(f"{executable} is not a program; name the executable that made the core {path}")
        self.elf, self.loads, self.notes = elf, [], []
        try:
            segments = list(elf.segments())
            missing = max((begin + in_file for kind, _, begin, _, in_file, _ in segments), default=0) - len(elf.data)
            if missing > 0:
                raise struct.error
            for kind, flags, begin, address, in_file, in_memory in segments:
                if kind == 1:
                    self.loads.append((address, address + in_file, begin))
                elif kind == 4:
                    self.read_notes(begin, in_file)
        except struct.error:
            raise Failure(f"{path} is truncated: a part of the core was not written; look for space on the disk, and "
                          f"raise the limit with `ulimit -c unlimited`") from None
        self.loads.sort()
        self.begins = [each[0] for each in self.loads]
        self.files = {}
        self.mapped = []
        headers = 0
        for kind, data in self.notes:
            if kind == 6:  # the auxiliary vector: its entry 3 is an address in the executable
                for at in range(0, len(data) - 15, 16):
                    key, value = struct.unpack_from(elf.order + "QQ", data, at)
                    headers = value if key == 3 else headers
            elif kind == 0x46494c45:  # NT_FILE
                count, page = struct.unpack_from(elf.order + "QQ", data)
                names = data[16 + 24 * count:].split(b"\0")
                for i in range(count):
                    begin, end, offset = struct.unpack_from(elf.order + "QQQ", data, 16 + 24 * i)
                    name = os.fsdecode(names[i])
                    self.mapped.append(Mapping(begin, end, offset * page, name, True, name))
        if not self.mapped:
            raise Failure(f"{path} does not say which files were mapped (it has no note NT_FILE); use gdb: "
                          f"gdb {executable} {path}, then `source asynchio_ps.py`")
        self.mapped.sort(key=lambda each: each.begin)
        self.mapped_begins = [each.begin for each in self.mapped]
        own = next((each.path for each in self.mapped if each.begin <= headers < each.end), self.mapped[0].path)
        for each in self.mapped:
            if each.path == own:
                each.opened = executable
        self.files[executable] = program
        first = next(each for each in self.mapped if each.path == own)
        head = self.from_core(first.begin, 64)
        if first.offset == 0 and head is not None and head != program.data[:64]:
            raise Failure(f"{executable} is not the program that made the core {path}; that was {own}")

    @staticmethod
    def opened(path):
        try:
            with open(path, "rb") as file:
                return Elf(file)
        except OSError as error:
            raise Failure(f"{path} cannot be read: {error.strerror}") from None

    def read_notes(self, begin, size):
        at = begin
        while at + 12 <= begin + size:
            name, data, kind = self.elf.unpack("III", at)
            at += 12 + (name + 3) // 4 * 4
            self.notes.append((kind, self.elf.data[at:at + data]))
            at += (data + 3) // 4 * 4

    def mappings(self):
        return self.mapped

    def from_core(self, address, size):
        i = bisect.bisect_right(self.begins, address) - 1
        if i < 0:
            return None
        begin, end, offset = self.loads[i]
        if address + size > end:
            return None
        return self.elf.data[offset + address - begin:offset + address - begin + size]

    def fetch(self, address, size):
        data = self.from_core(address, size)
        if data is not None:
            return data
        i = bisect.bisect_right(self.mapped_begins, address) - 1
        if i >= 0 and address + size <= self.mapped[i].end:
            each = self.mapped[i]
            if each.opened not in self.files:
                try:
                    self.files[each.opened] = self.opened(each.opened)
                except Failure:
                    self.files[each.opened] = None
            elf = self.files[each.opened]
            at = each.offset + address - each.begin
            if elf is not None and at + size <= len(elf.data):
                return elf.data[at:at + size]
        raise Unreadable(address)


# --- Names.


def end_of_type(text, at):
    """Returns where a type of a mangled name that begins at `at` ends."""
    while text[at] in "KVPROrCG":
        at += 1
    if text[at] == "N":
        return end_of_nested(text, at + 1)
    if text[at].isdigit():
        size = re.compile(r"\d+").match(text, at)
        return size.end() + int(size[0])
    if text[at] == "S":
        return at + 2 if text[at + 1] in "tabsiod" else text.index("_", at) + 1
    if text[at] == "T":
        return text.index("_", at) + 1
    return at + 1


def end_of_nested(text, at):
    """Returns where a part of a mangled name that lasts up to its letter E ends, behind that letter."""
    depth = 1
    while depth > 0:
        letter = text[at]
        if letter == "E":
            depth -= 1
            at += 1
        elif letter == "L":  # a value: its type, and digits up to the E
            at = text.index("E", end_of_type(text, at + 1)) + 1 if text[at + 1] != "_" else at + 3
            if text[at - 3:at - 1] == "_Z":
                depth += 1
        elif letter.isdigit() or letter in "ST":
            at = end_of_type(text, at)
        elif letter == "D":
            depth += text[at + 1] in "tT"
            at += 2
        elif text.startswith("Ul", at):
            at = text.index("_", end_of_nested(text, at + 2)) + 1
        elif letter == "U" and text[at + 1] == "t":
            at = text.index("_", at) + 1
        else:
            depth += letter in "NIJXFZ"
            at += 1
    return at


def plain_name(mangled):
    """Returns the name of a class with its namespaces, and without template arguments; the mangled one in doubt."""
    try:
        names, at = [], 0
        if mangled.startswith("Z"):  # a class in a function
            end = end_of_nested(mangled, 1)
            return plain_name(mangled[1:]) + "()::" + plain_name(mangled[end:])
        if mangled.startswith("N"):
            at = 1
        while at < len(mangled) and mangled[at] != "E":
            if mangled[at].isdigit():
                end = end_of_type(mangled, at)
                name = mangled[at:end].lstrip("0123456789")
                names.append("(anonymous namespace)" if name.startswith("_GLOBAL__N") else name)
                at = end
                if not mangled.startswith("N") and not mangled.startswith("I", at) and not mangled.startswith("B", at):
                    break
            elif mangled[at] == "I":
                at = end_of_nested(mangled, at + 1)
            elif mangled[at] == "B":
                at = end_of_type(mangled, at + 1)
            elif mangled.startswith("St", at):
                names.append("std")
                at += 2
            elif mangled.startswith("Ul", at):
                names.append("<lambda>")
                at = mangled.index("_", end_of_nested(mangled, at + 2)) + 1
            elif mangled[at] in "KVrRO":
                at += 1
            else:
                return mangled
        return "::".join(names) or mangled
    except (IndexError, ValueError):
        return mangled


def opening(text, end):
    depth = 0
    for i in range(end, -1, -1):
        if text[i] == ")":
            depth += 1
        if text[i] == "(":
            depth -= 1
            if depth == 0:
                return i
    return -1


def function_name(full):
    """Does what asynchio::debug::function_name does."""
    text = full
    at = text.rfind(" [with ")
    if at >= 0:
        text = text[:at]
    if text.endswith("]"):
        at = text.rfind(" [")
        if at >= 0:
            text = text[:at]
    at = text.find(".Frame*)")
    while at >= 0:
        end = at + len(".Frame*)") - 1
        begin = opening(text, end)
        if begin < 0:
            break
        text = text[:begin + 1] + text[end:]
        at = text.find(".Frame*)")
    text = text.replace(" mutable::", "::")
    name = text
    changed = True
    while changed:
        changed = False
        for last in (" noexcept", " &", " &&", " const", " mutable"):
            if name.endswith(last):
                name, changed = name[:-len(last)], True
                break
    if name.endswith(")"):
        begin = opening(name, len(name) - 1)
        if begin >= 0:
            name = name[:begin]
    depth = 0
    for i in range(len(name) - 1, -1, -1):
        letter = name[i]
        if letter in ")>}":
            depth += 1
        if letter in "(<{":
            depth -= 1
        if letter == " " and depth == 0:
            name = name[i + 1:]
            break
    if name.endswith("::operator()"):
        name = name[:-len("::operator()")]
    return name.lstrip("*&")


class Line:
    """A place in the source: what a std::source_location refers to, which is constant data."""

    __slots__ = ("file", "full", "line", "function", "is_library")

    def __init__(self, file, full, line):
        self.file, self.full, self.line = file, full, line
        self.function = function_name(full)
        self.is_library = LIBRARY_FILE.search(file) is not None

    def source(self):
        """Returns the text of the line, if the file is there."""
        return linecache.getline(self.file, self.line).strip() if os.path.isfile(self.file) else ""


# --- What is read.


class Wait:
    """What is known of a class of awaiters, or of another class of the library with virtual functions."""

    __slots__ = ("name", "short", "top", "bases", "word")

    def __init__(self, name, top, bases):
        self.name, self.top, self.bases = name, top, bases
        self.short = name.rpartition("::")[2] if name.startswith("asynchio::") else ""
        self.word = WORDS.get(self.short)
        if self.word is None:
            known = (WORDS.get(each.rpartition("::")[2]) for each in bases if each.startswith("asynchio::"))
            self.word = next((each for each in known if each), None)


NOTHING_KNOWN = Wait("", 0, {})


class Task:
    """A task, or a branch of one, as it was read."""

    __slots__ = ("address", "loop", "number", "given", "flags", "state", "word", "kind", "hook", "target", "lines",
                 "created", "cancels", "owner", "is_branch", "awaits", "awaited_by", "set", "iterator")

    def name(self):
        return self.given or f"Task-{self.number}"

    def place(self, all_lines):
        """Returns the innermost line, of the program itself if there is one."""
        for each in self.lines if not all_lines else ():
            if not each.is_library:
                return each
        return self.lines[0] if self.lines else None

    def shown_lines(self, all_lines):
        """Returns the lines of the chain of coroutines, the outermost first."""
        shown = [each for each in reversed(self.lines) if all_lines or not each.is_library]
        return shown or self.lines[:1]


class Loop:
    __slots__ = ("address", "iterations", "tasks", "complete")


class Reader:
    """Reads the loops of a program."""

    def __init__(self, memory):
        self.memory = memory
        self.lines = {0: Line("", "", 0)}
        self.texts = {}
        self.classes = {}
        self.type_names = {}
        self.statistics = {"readings": 0, "torn": 0}
        self.tables = self.find_tables()
        self.use(self.tables[0])

    def find_tables(self):
        found, other = [], None
        for address in self.memory.tables():
            try:
                head = self.memory.fetch(address, 32)
                if head[:16] != MAGIC:
                    continue
                order = "<" if head[16:20] < head[16:20][::-1] or head[16:18] != b"\0\0" else ">"
                version, size, pointer = struct.unpack_from(order + "III", head, 16)
                if pointer != 8:
                    raise Failure("this is a 32-bit program, and this script reads programs of 64 bits only")
                if version != TABLE_VERSION or size != struct.calcsize(order + TABLE_LAYOUT):
                    other = version, size
                    continue
                values = struct.unpack(order + TABLE_LAYOUT, self.memory.fetch(address, size))
                found.append((order, dict(zip(TABLE, values))))
            except Unreadable:
                continue
        if found:
            return found
        if other:
            raise Failure(f"the program has version {other[0]} of the table ({other[1]} bytes), and this script reads "
                          f"version {TABLE_VERSION} ({struct.calcsize('<' + TABLE_LAYOUT)} bytes); use the "
                          f"asynchio_ps.py of the release of asynchio with which the program was built")
        raise Failure("the program has no table of asynchio: it does not make tasks of this library, or was built with "
                      "a release without it")

    def use(self, table):
        order, t = table
        self.t = t
        self.u64 = struct.Struct(order + "Q").unpack_from
        self.i64 = struct.Struct(order + "q").unpack_from
        self.u32 = struct.Struct(order + "I").unpack_from
        self.u16 = struct.Struct(order + "H").unpack_from
        self.size = t["task_size"]
        self.tag = t["inner_tag"]
        self.item = t["task_waiting_for"] - t["item_waiting_for"]

    # Values.

    def pointer(self, address):
        return self.u64(self.memory.read(address, 8))[0]

    def text(self, address, most=1 << 20):
        """Returns a constant text."""
        known = self.texts.get(address)
        if known is not None:
            return known
        data = b""
        while len(data) < most:
            at = address + len(data)
            try:
                part = self.memory.read(at, min(256, PAGE - at % PAGE))
            except Unreadable:
                try:
                    part = self.memory.read(at, 1)
                except Unreadable:
                    raise Torn from None
            end = part.find(b"\0")
            if end >= 0:
                data += part[:end]
                break
            data += part
        known = self.texts[address] = data.decode("utf-8", "replace")
        return known

    def line(self, address):
        """Returns the line of a std::source_location, whose only member is an address."""
        known = self.lines.get(address)
        if known is None:
            if address % 4 != 0:
                raise Torn
            raw = self.memory.read(address, 20)
            file, function, number = self.u64(raw)[0], self.u64(raw, 8)[0], self.u32(raw, 16)[0]
            known = self.lines[address] = Line(self.text(file), self.text(function), number)
        return known

    def links(self, list_address, limit=1 << 26):
        """Yields the links of a list. Raises Torn when they do not fit together."""
        first = self.pointer(list_address)
        t = self.t
        prev, after = t["link_prev"], t["link_next"]
        begin = min(prev, after)
        each, last, count = first, None, 0
        last_of_first = 0
        while each:
            raw = self.memory.read(each + begin, 16)
            before = self.u64(raw, prev - begin)[0]
            if last is None:
                last_of_first = before
            elif before != last:
                raise Torn
            yield each
            last, each = each, self.u64(raw, after - begin)[0]
            count += 1
            if each == first:
                break
            if not each or count == limit:
                raise Torn
        if last is not None and last_of_first != last:
            raise Torn

    # Classes.

    def class_at(self, address):
        """Returns the class of an object with virtual functions."""
        functions = self.pointer(address)
        known = self.classes.get(functions)
        if known is None:
            if functions == 0 or functions % 8 != 0:
                raise Torn
            raw = self.memory.read(functions - 16, 16)
            top, info = self.i64(raw)[0], self.u64(raw, 8)[0]
            if info == 0:  # compiled without type_info
                known = NOTHING_KNOWN
            else:
                if abs(top) > 1 << 20 or info % 8 != 0:
                    raise Torn
                bases = {}
                self.add_bases(info, 0, bases)
                known = Wait(self.type_name(info), top, bases)
            self.classes[functions] = known
        return known

    def type_name(self, info):
        known = self.type_names.get(info)
        if known is None:
            known = self.type_names[info] = plain_name(self.text(self.pointer(info + 8)).lstrip("*"))
        return known

    def add_bases(self, info, offset, into):
        """Adds the names and offsets of the bases of a class, not of the virtual ones."""
        waiting = [(info, offset)]
        for _ in range(1000):
            if not waiting:
                return
            info, offset = waiting.pop(0)
            into.setdefault(self.type_name(info), offset)
            kind = self.type_name(self.pointer(self.pointer(info) - 8))
            if kind.endswith("__si_class_type_info"):
                waiting.append((self.pointer(info + 16), offset))
            elif kind.endswith("__vmi_class_type_info"):
                count = self.u32(self.memory.read(info + 20, 4))[0]
                for i in range(min(count, 100)):
                    base, flags = self.pointer(info + 24 + 16 * i), self.i64(self.memory.read(info + 32 + 16 * i, 8))[0]
                    if not flags & 1:
                        waiting.append((base, offset + (flags >> 8)))
        raise Torn

    @staticmethod
    def base(kind, address, name):
        """Returns the address of a base of an object, None without such a base."""
        offset = kind.bases.get("asynchio::detail::" + name)
        return None if offset is None else address + kind.top + offset

    # Tasks.

    def task(self, address, loop, running):
        raw = self.memory.read(address, self.size)
        t = self.t
        task = Task()
        task.address, task.loop = address, loop
        task.flags = self.u16(raw, t["task_flags"])[0]
        if not task.flags & t["root"] or self.u64(raw, t["task_loop"])[0] != loop:
            raise Torn
        task.number = self.u32(raw, t["task_id"])[0]
        task.given = self.given_name(self.u64(raw, t["task_extra_word"])[0])
        task.cancels = self.u16(raw, t["task_cancels"])[0]
        task.is_branch = bool(task.flags & t["branch"])
        task.owner = self.u64(raw, t["task_owner"])[0] if task.flags & t["owned"] else 0
        task.created = self.created(task, raw)
        task.hook = task.target = task.set = task.iterator = 0
        task.kind, task.word = None, ""
        task.awaits = task.awaited_by = ()
        if address + self.item in running:
            task.state = "running"
            task.lines = self.lines_inward(address, raw)
        elif task.flags & t["waiting"]:
            task.state = "waiting"
            task.hook = self.u64(raw, t["task_waiting_for"])[0]
            self.wait(task)
            task.lines = self.lines_outward(address, raw)
        else:
            task.state = "ready" if task.flags & t["started"] else "not started"
            task.lines = self.lines_outward(address, raw)
        return task, raw

    def given_name(self, extra):
        t = self.t
        if extra == 0 or extra & t["extra_tags"]:
            return ""
        block = self.pointer(extra + t["extra_name"])
        if block == 0:
            return ""
        size = self.pointer(block + t["text_size"])
        if size > 1 << 20:
            raise Torn
        return self.memory.read(block + t["text_begin"], size).decode("utf-8", "replace")

    def created(self, task, raw):
        if not task.owner:
            return self.line(self.u64(raw, self.t["task_made_at"])[0])
        kind = self.class_at(task.owner)
        place = self.base(kind, task.owner, "line_of_children")
        if place is None:
            place = self.base(kind, task.owner, "ready_item")
            if place is None:  # compiled without type_info
                return self.lines[0]
            place += self.t["item_waiting_for"]
        return self.line(self.pointer(place))

    def wait(self, task):
        """Finds out what a task waits for."""
        hook, t = task.hook, self.t
        kind = task.kind = self.class_at(hook)
        named = self.base(kind, hook, "named_suspension")
        handle = self.base(kind, hook, "awaited_handle")
        reference = self.base(kind, hook, "awaited_reference")
        task.word = kind.word or AN_AWAITER
        if named is not None:
            task.word = self.text(self.pointer(named + t["named_word"]))
        if handle is not None or reference is not None:
            target = self.pointer(handle if handle is not None else reference)
            if target == 0:
                raise Torn
            flags = self.u16(self.memory.read(target + t["task_flags"], 2))[0]
            is_future = bool(flags & t["future"])
            if kind.short == "handle_awaiter":
                task.word = "future" if is_future else "task"
            if not is_future:
                task.target = target
        in_set = self.base(kind, hook, "child_tasks::in_set")
        if in_set is not None:
            task.set = self.pointer(in_set)
        if kind.short == "next_awaiter":
            task.iterator = self.pointer(hook + t["suspension_size"])

    def where(self, raw):
        """Returns the address of the line at which a coroutine stands."""
        place = self.u64(raw, self.t["task_place"])[0]
        if not place & self.tag:
            return place
        return self.pointer((place & ~self.tag) + self.t["task_awaited_at"])

    def lines_outward(self, root, raw):
        """Returns the lines of a chain of coroutines from the innermost one on, as dump_tasks finds them."""
        t = self.t
        if raw[t["task_what"]] != t["step"]:
            return [self.line(self.where(raw))]
        lines = []
        each = self.u64(raw, t["task_resume_point"])[0] + t["promise_in_coroutine"]
        parent, awaited_at, place, size = t["task_parent"], t["task_awaited_at"], t["task_place"], self.size
        read, u64, known, tag = self.memory.read, self.u64, self.lines, self.tag
        inner, inner_line = 0, 0
        mark, steps, next_mark = 0, 0, 1
        while each and each != root:
            state = read(each, size)
            line = u64(state, place)[0]
            if line & tag:
                line = inner_line if line & ~tag == inner else self.where(state)
            lines.append(known.get(line) or self.line(line))
            inner, inner_line = each, u64(state, awaited_at)[0]
            each = u64(state, parent)[0]
            if each == mark:
                raise Torn
            steps += 1
            if steps == next_mark:
                mark, next_mark = each, 2 * next_mark
        lines.append(self.line(self.where(raw)))
        return lines

    def lines_inward(self, root, raw):
        """Returns the same for a task that runs, whose innermost coroutine is found from the outermost one on."""
        lines = [self.line(self.where(raw))]
        t, each = self.t, root
        mark, steps, next_mark = 0, 0, 1
        while True:
            place = self.u64(raw, t["task_place"])[0]
            if not place & self.tag:
                break
            each = place & ~self.tag
            if each in (mark, root):
                raise Torn
            raw = self.memory.read(each, self.size)
            lines.append(self.line(self.where(raw)))
            steps += 1
            if steps == next_mark:
                mark, next_mark = each, 2 * next_mark
        lines.reverse()
        return lines

    # Loops.

    def running(self, loop):
        """Returns the steps that run in a loop."""
        t = self.t
        if not self.memory.read(loop + t["loop_running"], 1)[0]:
            return ()
        thread = self.pointer(loop + t["loop_thread"])
        found = {self.pointer(thread + t["thread_current"])} if thread else set()
        each = self.pointer(loop + t["loop_interrupted"])
        while each and len(found) < 1 << 20:
            found.add(self.pointer(each + t["interrupted_task"]))
            each = self.pointer(each + t["interrupted_outer"])
        return found

    def loop(self, address):
        """Reads a loop and its tasks. Tasks that change are read again; `complete` says whether the list did not."""
        t = self.t
        best = None
        for attempt in range(30):
            self.statistics["readings"] += 1
            loop = Loop()
            loop.address, loop.tasks, loop.complete = address, [], False
            raws = []
            try:
                loop.iterations = self.pointer(address + t["loop_iterations"])
                running = self.running(address)
                for link in self.links(address + t["loop_tasks"]):
                    task, raw = self.task(link - t["task_prev"], address, running)
                    loop.tasks.append(task)
                    raws.append(raw)
                loop.complete = self.unchanged(loop, raws)
            except (Torn, Unreadable):
                pass
            if loop.complete:
                return loop
            self.statistics["torn"] += 1
            if best is None or len(loop.tasks) >= len(best.tasks):
                best = loop
            self.memory.forget()
            time.sleep(min(0.0002 * attempt, 0.003))
        if not hasattr(best, "iterations"):
            best.iterations = 0
        return best

    def unchanged(self, loop, raws):
        """Whether what says where the tasks stand is as it was when the reading began. A new task may have the place
        of an old one, and all its links: only the number tells them apart."""
        if isinstance(self.memory, Core):
            return True
        t = self.t
        same = ([t["task_prev"], t["task_prev"] + 8, t["task_waiting_for"], t["task_resume_point"], t["task_place"]])
        pages = {}
        fetch, u64, size, flags, number_at = self.memory.fetch, self.u64, self.size, t["task_flags"], t["task_id"]
        for task, raw in zip(loop.tasks, raws):
            number, begin = divmod(task.address, PAGE)
            if begin + size > PAGE:
                now = fetch(task.address, size)
            else:
                page = pages.get(number)
                if page is None:
                    page = pages[number] = fetch(number * PAGE, PAGE)
                now = page[begin:begin + size]
            if now != raw and (any(u64(now, at) != u64(raw, at) for at in same) or
                               now[flags:flags + 2] != raw[flags:flags + 2] or
                               now[number_at:number_at + 4] != raw[number_at:number_at + 4]):
                return False
        return True

    def loops(self):
        """Returns the loops of the program, of all copies of the library in it, each once."""
        seen, result = set(), []
        self.memory.forget()
        for table in self.tables:
            self.use(table)
            t = self.t
            for _ in range(30):
                try:
                    addresses = [link - t["loop_prev"] for link in self.links(t["loops"] + t["first_loop"], 1 << 20)]
                    break
                except (Torn, Unreadable):
                    self.memory.forget()
                    time.sleep(0.001)
            else:
                raise Failure("the list of the program's loops changes all the time, or is damaged; try again")
            for address in addresses:
                if address not in seen:
                    seen.add(address)
                    result.append(self.loop(address))
        return result

    def connect(self, loops):
        """Finds out which task waits for which, in `awaits` and `awaited_by`."""
        tasks = {each.address: each for loop in loops for each in loop.tasks}
        hooks, sets, iterators = {}, {}, {}
        for each in tasks.values():
            each.awaits, each.awaited_by = [], []
            if each.hook:
                hooks[each.hook] = each
                if each.set:
                    sets[each.set] = each
                if each.iterator:
                    iterators[each.iterator] = each
        for each in tasks.values():
            if each.target in tasks:
                self.add_edge(each, tasks[each.target])
        if not hooks:
            return
        t = self.t
        for each in tasks.values():
            try:
                if each.owner:
                    self.add_edge(self.owner_task(each.owner, hooks, sets), each)
                for watcher in self.links(each.address + t["task_watchers"]):
                    raw = self.memory.read(watcher + t["watcher_size"], 16)
                    for word in (self.u64(raw)[0], self.u64(raw, 8)[0]):
                        self.add_edge(hooks.get(word) or iterators.get(word), each)
            except (Torn, Unreadable):
                continue

    def owner_task(self, owner, hooks, sets):
        """Returns the task that waits for what has an owner."""
        kind = self.class_at(owner)
        offset = kind.bases.get("asynchio::suspension")
        if offset is not None:
            return hooks.get(owner + kind.top + offset)
        in_set = self.base(kind, owner, "child_tasks::in_set")
        if in_set is not None:
            return sets.get(self.pointer(in_set))
        return hooks.get(owner - self.t["suspension_size"])

    @staticmethod
    def add_edge(waits, awaited):
        if waits is None or awaited is waits:
            return
        if not any(each is waits for each in awaited.awaited_by[-64:]):
            waits.awaits.append(awaited)
            awaited.awaited_by.append(waits)

    def name_of(self, address, tasks):
        """Returns the name of a task that need not be in a list any more."""
        if address in tasks:
            return tasks[address].name()
        t = self.t
        try:
            raw = self.memory.read(address, self.size)
            return (self.given_name(self.u64(raw, t["task_extra_word"])[0]) or
                    f"Task-{self.u32(raw, t['task_id'])[0]}")
        except (Torn, Unreadable):
            return "a task"


# --- What is printed.


def printable(text):
    return "".join(each if each.isprintable() else "?" for each in text)


class Snapshot:
    """The loops of a program at one time, and the texts for them."""

    def __init__(self, reader, connected=False):
        self.reader = reader
        self.loops = reader.loops()
        self.tasks = {each.address: each for loop in self.loops for each in loop.tasks}
        if connected or any(each.kind is not None and each.kind.short in ONE_CHILD for each in self.tasks.values()):
            reader.connect(self.loops)

    def complete(self):
        return all(each.complete for each in self.loops)

    def waiting_for(self, task):
        """Returns what dump_tasks prints behind `waiting for`."""
        if task.target:
            return f"{task.word} {self.reader.name_of(task.target, self.tasks)}"
        if task.kind is not None and task.kind.short in ONE_CHILD and len(task.awaits) == 1:
            return f"{task.word} {task.awaits[0].name()}"
        return task.word

    def state(self, task, detailed=False):
        text = task.state
        if text == "waiting":
            text = "waiting for " + self.waiting_for(task)
            if detailed and task.word == AN_AWAITER and task.kind.name:
                text += f" ({task.kind.name})"
        if task.cancels > 0:
            text += f", cancelling {task.cancels}"
        return text

    def label(self, task):
        if not task.is_branch:
            return task.name()
        return f"part of {task.awaited_by[0].name()}" if task.awaited_by and not task.awaited_by[0].is_branch \
            else "part of a task"


def with_source(line, sources=True):
    if line is None or not line.file:
        return "", "", ""
    return printable(line.function), f"{os.path.basename(printable(line.file))}:{line.line}", \
        printable(line.source()) if sources else ""


def warn(text):
    print(f"asynchio_ps: {text}", file=sys.stderr)


def warn_if_torn(snapshot):
    if not snapshot.complete():
        warn("tasks started and ended while they were read, so that some may be missing")


def print_ps(snapshot, options, write):
    rows = []
    for number, loop in enumerate(snapshot.loops, 1):
        if len(snapshot.loops) > 1:
            rows.append(f"loop {number} of {len(snapshot.loops)}, with {len(loop.tasks)} tasks")
        for each in loop.tasks:
            name = "  part of the task above" if each.is_branch else printable(each.name())
            rows.append((name, printable(snapshot.state(each, True)),
                         *with_source(each.place(options.all))))
    widths = [min(40, max((len(row[i]) for row in rows if isinstance(row, tuple)), default=0)) for i in range(4)]
    for row in rows:
        if isinstance(row, str):
            write(row)
        else:
            write("  ".join(cell.ljust(width) for cell, width in zip(row, widths + [0])).rstrip())
    if not rows:
        write("no loop exists" if not snapshot.loops else "no task is there")


def print_dump(snapshot, options, write):
    for loop in snapshot.loops:
        for each in loop.tasks:
            name = "  part of the task above" if each.is_branch else each.name()
            write(f"{name}: {snapshot.state(each)}")
            write(f"    created at {each.created.file}:{each.created.line}")
            for line in reversed(each.lines) if each.state != "running" else ():
                write(f"    {line.function} {line.file}:{line.line}")


MOST_INDENTED = 40


def print_pstree(snapshot, options, write):
    tasks = [each for loop in snapshot.loops for each in loop.tasks]
    printed = set()

    def show(task, depth, path):
        indent = "  " * min(depth, MOST_INDENTED)
        if depth > MOST_INDENTED:
            indent += f"[depth {depth}] "
        head = f"{indent}{printable(snapshot.label(task))}: "
        if task.address in path:
            write(f"{head}above: a cycle of {depth - path[task.address]}")
            return False
        if task.address in printed:
            write(f"{head}see above")
            return False
        write(head + printable(snapshot.state(task, True)))
        for line in task.shown_lines(options.all):
            function, place, source = with_source(line)
            write(f"{indent}    {function} {place}{'    ' + source if source else ''}".rstrip())
        printed.add(task.address)
        return True

    # The tasks that nobody awaits are first; what is left then waits in circles.
    for start in [each for each in tasks if not each.awaited_by] + tasks:
        if start.address in printed:
            continue
        path = {}
        stack = [(start, 0)]
        on_path = []
        while stack:
            task, depth = stack.pop()
            while len(on_path) > depth:
                del path[on_path.pop()]
            if show(task, depth, path):
                path[task.address] = depth
                on_path.append(task.address)
                stack.extend((each, depth + 1) for each in reversed(task.awaits))
    if not tasks:
        print_ps(snapshot, options, write)


def line_as_data(line):
    return {"function": line.function, "file": line.file, "line": line.line, "library": line.is_library}


def print_json(snapshot, options, write):
    loops = []
    for loop in snapshot.loops:
        tasks = []
        for each in loop.tasks:
            chain = each.lines if options.all else [line for line in each.lines if not line.is_library]
            tasks.append({
                "id": each.number, "name": each.name(), "branch": each.is_branch, "state": each.state,
                "waiting_for": snapshot.waiting_for(each) if each.hook else None,
                "awaiter": each.kind.name or None if each.kind else None, "cancelling": each.cancels,
                "created": {"file": each.created.file, "line": each.created.line},
                "frames": [line_as_data(line) for line in chain],
                "awaits": [other.number for other in each.awaits],
                "awaited_by": [other.number for other in each.awaited_by],
            })
        loops.append({"address": loop.address, "iterations": loop.iterations, "complete": loop.complete,
                      "tasks": tasks})
    write(json.dumps({"version": TABLE_VERSION, "loops": loops}, indent=1))


def print_stacks(counts, write):
    for stack, count in sorted(counts.items()):
        write(f"{stack} {count}")


def run_waits(reader, options, write):
    """Adds up the stacks of the tasks that wait, at every interval, until the time is up."""
    counts = {}
    end = time.monotonic() + options.seconds
    try:
        while True:
            begin = time.monotonic()
            snapshot = Snapshot(reader)
            for each in snapshot.tasks.values():
                if each.state == "waiting":
                    names = [line.function for line in each.shown_lines(options.all)]
                    stack = ";".join(printable(name).replace(";", ",") for name in names + [f"[{each.word}]"])
                    counts[stack] = counts.get(stack, 0) + 1
            now = time.monotonic()
            if now >= end:
                break
            time.sleep(max(0.0, min(begin + options.interval, end) - now))
    except Ended as error:
        if not counts:
            raise
        warn(f"{error}; this is what was read before")
    except KeyboardInterrupt:
        pass
    if options.json:
        write(json.dumps({"stacks": [{"stack": stack.split(";"), "count": count}
                                     for stack, count in sorted(counts.items())]}, indent=1))
    else:
        print_stacks(counts, write)


def run_top(reader, options, write):
    """Prints, again each second, where tasks wait, how many, and what has changed."""
    before, iterations, groups_before, last = None, {}, {}, time.monotonic()
    rounds = 0
    while options.count is None or rounds < options.count:
        if rounds > 0:
            time.sleep(options.interval)
        try:
            snapshot = Snapshot(reader)
        except Ended as error:
            if rounds == 0:
                raise
            warn(str(error))
            return
        now = time.monotonic()
        passed = max(now - last, 1e-3)
        keys = {(each.address, each.number) for each in snapshot.tasks.values()}
        groups = {}
        for each in snapshot.tasks.values():
            word = each.word if each.state == "waiting" else each.state
            function, place, source = with_source(each.place(options.all))
            groups.setdefault((word, function, place, source), []).append(each)
        is_terminal = sys.stdout.isatty()
        size = shutil.get_terminal_size()
        output = []
        for number, loop in enumerate(snapshot.loops, 1):
            rate = (loop.iterations - iterations.get(loop.address, loop.iterations)) / passed
            output.append(f"loop {number}: {len(loop.tasks)} tasks, {rate:.0f} iterations a second")
        if before is not None:
            output.append(f"started {len(keys - before)}, ended {len(before - keys)} in {passed:.1f} s")
        output.append(f"{'TASKS':>7} {'CHANGE':>7}  WAITS FOR             WHERE")
        counts = {key: len(members) for key, members in groups.items()}
        for key in groups_before:
            counts.setdefault(key, 0)
        changed = sorted(counts, key=lambda key: (-abs(counts[key] - groups_before.get(key, 0)), -counts[key], key))
        for key in changed:
            change = counts[key] - groups_before.get(key, 0) if rounds else 0
            word, function, place, source = key
            output.append(f"{counts[key]:>7} {change:>+7}  {printable(word):20}  {function} {place}  {source}".rstrip())
        if is_terminal:
            output = [line[:size.columns] for line in output[:size.lines - 1]]
            write("\x1b[H\x1b[2J" + "\n".join(output))
        else:
            for line in output + [""]:
                write(line)
        sys.stdout.flush()
        before, groups_before, last = keys, {key: counts[key] for key in groups}, now
        iterations = {loop.address: loop.iterations for loop in snapshot.loops}
        rounds += 1


PRINTERS = {"ps": print_ps, "pstree": print_pstree, "dump": print_dump}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Failure(f"{message}; `asynchio_ps.py --help` says what can be asked")


def positive(text):
    number = float(text)
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a duration in seconds")
    return number


def parser(outside):
    made = Parser(prog="asynchio_ps.py" if outside else "asynchio", description=__doc__,
                  formatter_class=argparse.RawDescriptionHelpFormatter)
    if outside:
        made.add_argument("--version", action="version", version=f"asynchio_ps.py {VERSION}, table {TABLE_VERSION}")
    made.add_argument("command", choices=["ps", "pstree", "dump"] + (["waits", "top", *QUESTIONS] if outside else []))
    if outside:
        made.add_argument("pid", nargs="?", metavar="PID", help="the number of the process")
        made.add_argument("--core", nargs=2, metavar=("FILE", "EXECUTABLE"), help="read a core file instead")
        made.add_argument("--socket", metavar="PATH", help="tasks, tree, metrics, profile, trace: where the program serves")
        made.add_argument("--seconds", type=positive, default=5.0, help="waits, profile, trace: for how long (5)")
        made.add_argument("--interval", type=positive, help="waits, top: seconds between readings (0.02, 1)")
        made.add_argument("--count", type=int, help="top: how many times; without it until Ctrl-C")
        made.add_argument("--statistics", action="store_true", help="print on stderr how often it read, and how long")
    made.add_argument("--all", action="store_true", help="show lines of the library's own headers, too")
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--dump", action="store_true", help="ps: print what dump_tasks prints")
    return made


def print_once(reader, options, write):
    snapshot = Snapshot(reader, options.command == "pstree" or options.json)
    printer = print_json if options.json else print_dump if options.dump else PRINTERS[options.command]
    printer(snapshot, options, write)
    return snapshot


def ask(options, out):
    """Asks a program at its socket, and prints what it answers."""
    if options.socket is None:
        raise Failure(f"{options.command} is asked at a socket: asynchio_ps.py {options.command} --socket PATH, "
                      "where the program serves (debug::serve, or ASYNCHIO_INSPECT)")
    if options.pid is not None or options.core is not None:
        raise Failure("give either --socket PATH or a process")
    question = options.command
    if question in ("profile", "trace"):
        question += f" {max(1, round(options.seconds))}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as program:
        try:
            program.connect(options.socket)
            program.sendall(question.encode() + b"\n")
            first = True
            while True:
                part = program.recv(1 << 16)
                if not part:
                    break
                if first and part.startswith((b"error: ", b"busy: ")):
                    raise Failure(part.decode(errors="replace").strip())
                first = False
                out.write(part.decode(errors="replace"))
        except FileNotFoundError:
            raise Failure(f"there is no socket {options.socket}; does the program serve it?") from None
        except ConnectionRefusedError:
            raise Failure(f"nobody serves {options.socket} any more") from None
        except PermissionError:
            raise Failure(f"{options.socket} belongs to another user; only that one, and root, may ask") from None
        except OSError as error:
            raise Failure(f"{options.socket}: {error.strerror or error}") from None
    if first and question != "profile":
        raise Failure(f"{options.socket} gave no answer: it belongs to another user, or the program ended")


def memory_for(options):
    if options.socket is not None:
        raise Failure(f"at a socket, ask for {', '.join(QUESTIONS)}")
    if options.core is not None:
        if options.pid is not None:
            raise Failure("give either a process or --core FILE EXECUTABLE")
        if options.command in ("waits", "top"):
            raise Failure(f"{options.command} needs a running process: nothing changes in a core file")
        return Core(*options.core)
    if options.pid is None:
        raise Failure(f"which process? asynchio_ps.py {options.command} PID, or --core FILE EXECUTABLE")
    if not re.fullmatch(r"[0-9]{1,9}", options.pid) or int(options.pid) == 0:
        raise Failure(f"{options.pid} is not the number of a process; `pgrep -a NAME` prints it")
    return Process(int(options.pid))


def main(arguments):
    begin = time.monotonic()
    lines = []

    def write(text):
        lines.append(text)
        if len(lines) >= 1000:
            flush()

    def flush():
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            lines.clear()

    try:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")
        options = parser(True).parse_intermixed_args(arguments)
        if options.command in QUESTIONS:
            ask(options, sys.stdout)
            sys.stdout.flush()
            return 0
        if options.interval is None:
            options.interval = 0.02 if options.command == "waits" else 1.0
        reader = Reader(memory_for(options))
        if options.command == "waits":
            run_waits(reader, options, write)
        elif options.command == "top":
            def write_now(text):
                write(text)
                flush()
            run_top(reader, options, write_now)
        else:
            warn_if_torn(print_once(reader, options, write))
        flush()
        sys.stdout.flush()
        if options.statistics:
            figures = reader.statistics
            warn(f"{figures['readings']} readings of a loop, {figures['torn']} of them torn, "
                 f"{time.monotonic() - begin:.3f} s")
    except Failure as failure:
        warn(" ".join(str(failure).split()))
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes it at its end
        return 0
    return 0


# --- In gdb and lldb.


def in_debugger(memory, arguments, write):
    """Does a command of a debugger."""
    try:
        options = parser(False).parse_intermixed_args(arguments)
    except SystemExit:  # --help was printed
        return
    snapshot = print_once(Reader(memory), options, write)
    if not snapshot.complete():
        write("asynchio: a part of the tasks could not be read")


def load_into_gdb(gdb):
    class GdbMemory(Memory):
        def __init__(self):
            super().__init__()
            self.inferior = gdb.selected_inferior()
            if self.inferior.pid == 0:
                raise Failure("no program runs and no core is loaded; use `run`, `attach PID` or `core FILE` first")

        def fetch(self, address, size):
            try:
                return bytes(self.inferior.read_memory(address, size))
            except (gdb.error, OverflowError):
                raise Unreadable(address) from None

        def tables(self):
            files = gdb.execute("info files", to_string=True)
            for found in re.finditer(r"(0x[0-9a-f]+) - 0x[0-9a-f]+ is asynchio_ps\b", files):
                yield int(found[1], 16)

    class Command(gdb.Command):
        """Prints the tasks of asynchio: asynchio ps, asynchio pstree, asynchio dump; with --all or --json."""

        def __init__(self):
            super().__init__("asynchio", gdb.COMMAND_STACK)

        def invoke(self, argument, _):
            try:
                in_debugger(GdbMemory(), gdb.string_to_argv(argument), print)
            except Failure as failure:
                raise gdb.GdbError(f"asynchio: {failure}") from None

    Command()


def __lldb_init_module(debugger, _):
    import lldb

    class LldbMemory(Memory):
        def __init__(self, target):
            super().__init__()
            self.target, self.process = target, target.GetProcess()
            if not self.process or not self.process.IsValid():
                raise Failure("no program runs and no core is loaded; use `run`, `attach` or `target create --core`")

        def fetch(self, address, size):
            error = lldb.SBError()
            data = self.process.ReadMemory(address, size, error)
            if not error.Success() or data is None or len(data) != size:
                raise Unreadable(address)
            return bytes(data)

        def tables(self):
            for module in self.target.module_iter():
                section = module.FindSection(SECTION.decode())
                if section and section.IsValid():
                    address = section.GetLoadAddress(self.target)
                    if address != lldb.LLDB_INVALID_ADDRESS:
                        yield address

    def command(_debugger, argument, result, _dict):
        try:
            in_debugger(LldbMemory(_debugger.GetSelectedTarget()), argument.split(), result.AppendMessage)
        except Failure as failure:
            result.SetError(f"asynchio: {failure}")

    command.__doc__ = "Prints the tasks of asynchio: asynchio ps, asynchio pstree, asynchio dump."
    sys.modules[__name__].asynchio_command = command
    debugger.HandleCommand(f"command script add --overwrite -f {__name__}.asynchio_command asynchio")


if __name__ == "__main__":
    if "gdb" in sys.modules and hasattr(sys.modules["gdb"], "selected_inferior"):
        load_into_gdb(sys.modules["gdb"])
    else:
        sys.exit(main(sys.argv[1:]))
