#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The shape of the include tree, checked.

    check.py ROOT [RULE...]     all rules, or those named; prints each violation as `path: what` and exits with 1

    edges      a module includes only the modules below it and only single headers; of another module's detail/ only that of
               core, loop and task, which the modules above are built on
    cycles     no include cycle
    size       no header over 400 lines of code; blank lines and comments do not count
    macros     no #define and no #undef outside version.hpp
    prologue   every header starts with its SPDX line and #pragma once
    modules      each module header lists the public headers of its module, the umbrella all module headers; neither holds code;
               debug/tools.hpp and the public headers of debug that it includes are apart: no umbrella has them
    cost       what task/task.hpp includes, at any depth, is free of the standard headers that are slow to read
    unused     no class makes code in files that do not use it: a virtual function whose body comes later is declared inline
    links      what a header declares is defined in it or in what it includes, so that a program with that header links
    mirror     every public header, and each in the detail/ of core, loop and task, has a test:
               tests/<module>/<thing>.test.cpp, or a line `// covers:` in another test
    visibility every header with code gives it default visibility, so that linked libraries share the loop
    notes      no note about unfinished work, and no comment or pragma that silences a check
"""

import re
import sys
from pathlib import Path

LOWER = {
    "core": set(),
    "loop": {"core"},
    "task": {"core", "loop"},
    "combine": {"core", "loop", "task"},
    "sync": {"core", "loop", "task"},
    "thread": {"core", "loop", "task"},
    "io": {"core", "loop", "task"},
    "debug": {"core", "loop", "task"},
    "testing": {"core", "loop", "task", "combine", "sync", "thread", "io", "debug"},
    "adapters": {"core", "loop", "task", "combine", "sync", "thread", "io", "debug", "testing"},
}
# Name resolution blocks, so it runs on a worker thread; the audit counts worker threads.
EXCEPTIONS = {("io", "thread/to_thread.hpp"), ("testing", "thread/detail/worker_count.hpp")}
# Their mechanisms serve all modules above them, and have tests of their own.
OPEN_DETAIL = {"core", "loop", "task"}
# Every file that includes an umbrella would compile the tools, which one file of a program needs.
TOOLS = "debug/tools.hpp"
MOST_LINES = 400
# Declared without the type that they return: a program that calls them and lacks the other header does not compile.
DEFINED_ABOVE = {"run_until_complete", "create_future", "create_task_at", "task", "awaited", "metrics", "set_metrics"}
SLOW = {"chrono", "atomic", "memory", "functional", "string", "iostream"}
# Assembled, so that this file passes its own rule.
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
SILENCED = re.compile(r"\bNO" r"LINT|#\s*pragma\s+(?:GCC|clang)\s+diag" r"nostic|no_sani" r"tize")


def without_comments(text):
    """The code alone, line by line; string literals stay."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def blank(match):
        return match[0] if match[0][0] in "\"'" else "\n" * match[0].count("\n")

    return re.sub(pattern, blank, text, flags=re.S)


class header:
    """One file below include/, named by its path below include/asynchio (or `asynchio.hpp`)."""

    def __init__(self, include, path):
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.code = without_comments(self.text)
        below = path.relative_to(include)
        self.is_umbrella = below.parts == ("asynchio.hpp",)
        inner = below.parts if self.is_umbrella else below.parts[1:]
        self.name = "/".join(inner)
        self.module = inner[0] if len(inner) > 1 else None
        self.is_version = self.name == "version.hpp"
        self.is_module_header = self.module is None and not self.is_umbrella and not self.is_version
        self.is_detail = len(inner) > 2 and inner[1] == "detail"
        self.is_public = self.module is not None and not self.is_detail
        self.own, self.foreign, self.lost = [], [], []
        for kind, target in re.findall(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', self.code, re.M):
            self.resolve(include, kind, target)

    def resolve(self, include, kind, target):
        """Sorts an include into own (a name), foreign (the standard library's, a system's) and lost."""
        candidates = [include / target] if kind == "<" else [self.path.parent / target, include / target]
        for candidate in candidates:
            if candidate.is_file() and include.resolve() in candidate.resolve().parents:
                below = candidate.resolve().relative_to(include.resolve()).parts
                self.own.append("/".join(below if len(below) == 1 else below[1:]))
                return
        if kind == '"' or target.startswith("asynchio"):
            self.lost.append(target)
        else:
            self.foreign.append(target)


class tree:
    def __init__(self, root):
        self.root = Path(root)
        include = self.root / "include"
        found = [header(include, path) for path in sorted(include.rglob("*.hpp"))]
        self.headers = {one.name: one for one in found}

    def public(self, module=None):
        return [h for h in self.headers.values() if h.is_public and module in (None, h.module)]

    def modules(self):
        return sorted({h.module for h in self.headers.values() if h.module is not None})

    def sources(self):
        for folder in ("include", "tests", "examples", "benchmarks"):
            for path in sorted((self.root / folder).rglob("*")):
                if path.is_file() and (path.suffix in (".hpp", ".cpp", ".py", ".sh", ".md") or path.name == "CMakeLists.txt"):
                    yield path


def edges(t):
    for h in t.headers.values():
        for target in h.lost:
            yield h.path, f"includes {target}, which is not there"
        if h.module is None:
            continue
        if h.module not in LOWER:
            yield h.path, f"unknown module {h.module}"
            continue
        for name in h.own:
            other = t.headers[name]
            if other.is_version:
                continue
            if other.module is None:
                yield h.path, f"includes {name}, which is for users: include single headers"
            elif other.module == h.module or (h.module, name) in EXCEPTIONS:
                continue
            elif other.is_detail and other.module not in OPEN_DETAIL:
                yield h.path, f"includes {name}, a detail of another module"
            elif other.module not in LOWER[h.module]:
                yield h.path, f"module {h.module} may not include {name}"


def cycles(t):
    state, found = {}, []

    def visit(name, trail):
        state[name] = "open"
        for target in t.headers[name].own:
            if state.get(target) == "open":
                circle = trail[trail.index(target) :] + [target]
                found.append((t.headers[name].path, "include cycle: " + " -> ".join(circle)))
            elif target not in state:
                visit(target, trail + [target])
        state[name] = "closed"

    for name in t.headers:
        if name not in state:
            visit(name, [name])
    yield from found


def size(t):
    for h in t.headers.values():
        lines = sum(bool(line.strip()) for line in h.code.splitlines())
        if lines > MOST_LINES:
            yield h.path, f"{lines} lines of code, at most {MOST_LINES}"


def macros(t):
    for h in t.headers.values():
        if h.is_version:
            continue
        for directive, name in re.findall(r"^[ \t]*#[ \t]*(define|undef)[ \t]+(\w+)", h.code, re.M):
            yield h.path, f"#{directive} {name}"


def prologue(t):
    wanted = {"// SPDX-License-Identifier: BSL-1.0", "#pragma once"}
    for h in t.headers.values():
        missing = wanted - set(h.text.splitlines()[:2])
        for line in sorted(missing):
            yield h.path, f"the first two lines lack `{line}`"


def modules(t):
    def only_lists(h):
        code = [line for line in h.code.splitlines() if line.strip()]
        return all(re.match(r"\s*#\s*(include|pragma)\b", line) for line in code)

    asked = [module for module in t.modules() if module != "adapters"]
    for module in asked:
        lister = t.headers.get(f"{module}.hpp")
        if lister is None:
            yield t.root / "include/asynchio" / f"{module}.hpp", "the module has no header that lists it"
            continue
        wanted = {h.name for h in t.public(module)}
        if TOOLS in wanted:
            wanted -= {TOOLS, *t.headers[TOOLS].own}
        for name in sorted(wanted - set(lister.own)):
            yield lister.path, f"does not list {name}"
        for name in sorted(set(lister.own) - wanted):
            yield lister.path, f"lists {name}, which is not a public header of the module, or a tool"
    umbrella = t.headers.get("asynchio.hpp")
    if umbrella is None:
        yield t.root / "include/asynchio.hpp", "there is no umbrella"
    else:
        wanted = {f"{module}.hpp" for module in asked} | {"version.hpp"}
        for name in sorted(wanted - set(umbrella.own)):
            yield umbrella.path, f"does not include {name}"
        for name in sorted(set(umbrella.own) - wanted):
            yield umbrella.path, f"includes {name}, which is not a module header"
    for h in t.headers.values():
        if (h.is_umbrella or h.is_module_header) and not only_lists(h):
            yield h.path, "holds code: it may only list headers"
        if h.is_module_header and h.name.removesuffix(".hpp") not in t.modules():
            yield h.path, "there is no such module"


def cost(t):
    start = "task/task.hpp"
    if start not in t.headers:
        yield t.root / "include/asynchio" / start, "is not there"
        return
    trails, todo = {start: [start]}, [start]
    while todo:
        name = todo.pop()
        for slow in sorted(SLOW.intersection(t.headers[name].foreign)):
            yield t.headers[name].path, f"includes <{slow}>, and {' -> '.join(trails[name])}"
        for target in t.headers[name].own:
            if target not in trails:
                trails[target] = trails[name] + [target]
                todo.append(target)


def unused(t):
    # The first virtual function that is not inline where its class is defined tells compilers to put the class's table,
    # with everything that it calls, into each file that sees the function's body.
    later = re.compile(r"[^;{}=]*\b(?:virtual\b[^;{}=]*|(?:override|final)\s*);")
    for h in t.headers.values():
        for declared in later.findall(h.code):
            if not re.search(r"\binline\b", declared):
                yield h.path, f"`{' '.join(declared.split())}` is not inline"


def links(t):
    # The layout of the code tells namespace scope by the first column.
    defines_class = re.compile(r"^ *(?:class|struct)\s+(?:\[\[[^\n]*?\]\]\s*)?(\w+)[^;{}()]*\{", re.M)
    head = r"^(?!inline constexpr|using|return|friend|extern|static_assert|template<|#)[\w\[][^\n(;{}=\"]*?"
    member = re.compile(head + r"\b(\w+)(?:<[^\n<>]*>)?::(~?\w+)\(", re.M)
    function = re.compile(head + r"[\s&*](?:detail::)?(\w+)\((?:[^(){};]|\([^(){};]*\))*\)([^{};]*)([{;])", re.M)
    homes, free = {}, {}
    for h in t.headers.values():
        for name in defines_class.findall(h.code):
            homes.setdefault(name, set()).add(h.name)
        for name, _, end in function.findall(h.code):
            if end == "{":
                free.setdefault(name, set()).add(h.name)

    reached = {}

    def reach(name):
        if name not in reached:
            reached[name] = {name}.union(*(reach(target) for target in t.headers[name].own))
        return reached[name]

    for h in t.headers.values():
        for owner, name in member.findall(h.code):
            declared = homes.get(owner, set()) & reach(h.name)
            if declared and name not in DEFINED_ABOVE and not any(h.name in reach(home) for home in declared):
                yield h.path, f"defines {owner}::{name}, and {sorted(declared)[0]} declares it and does not include this"
        for name, _, end in function.findall(h.code):
            if end == ";" and not free.get(name, set()) & reach(h.name):
                yield h.path, f"declares {name}, and does not include its definition"


def mirror(t):
    tested = set()
    for path in (t.root / "tests").glob("*/*.test.cpp"):
        module, thing = path.parent.name, path.name.removesuffix(".test.cpp")
        tested.update((f"{module}/{thing}.hpp", f"{module}/detail/{thing}.hpp"))
        for names in re.findall(r"^// covers:(.*)$", path.read_text(encoding="utf-8"), re.M):
            for name in names.split():
                full = name if "/" in name else f"{module}/{name}"
                tested.add(full)
                if full not in t.headers:
                    yield path, f"covers {full}, which is not there"
    for h in t.headers.values():
        wanted = h.is_public or h.is_detail and h.module in OPEN_DETAIL
        if wanted and h.name not in tested:
            test = h.name.removesuffix(".hpp").replace("/detail/", "/")
            yield h.path, f"no tests/{test}.test.cpp, and no test that covers it"


def visibility(t):
    for h in t.headers.values():
        if not re.search(r"^namespace asynchio", h.text, re.M):
            continue
        push = h.text.find("\n#pragma GCC visibility push(default)\n")
        last_include = max(h.text.rfind("\n#include"), 0)
        first_code = re.search(r"^namespace asynchio", h.text, re.M).start()
        if not last_include <= push < first_code or not h.text.endswith("\n#pragma GCC visibility pop\n"):
            yield h.path, "no `#pragma GCC visibility push(default)` between includes and code, or no pop at the end"


def notes(t):
    for path in t.sources():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if match := UNFINISHED.search(line) or SILENCED.search(line):
                yield path, f"line {number}: {match[0]}"


RULES = {rule.__name__: rule for rule in (
    edges, cycles, size, macros, prologue, modules, cost, unused, links, mirror, visibility, notes
)}


def main(arguments):
    if not arguments or any(name not in RULES for name in arguments[1:]):
        sys.exit(f"usage: check.py ROOT [{'|'.join(RULES)}]...")
    t = tree(arguments[0])
    found = [one for name in arguments[1:] or RULES for one in RULES[name](t)]
    for path, what in found:
        print(f"{path.relative_to(t.root)}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
