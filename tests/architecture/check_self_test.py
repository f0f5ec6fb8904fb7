#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""check.py on small made-up trees: a sound one passes, and each violation is reported by its rule and by no other."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

import check  # noqa: E402

PROLOGUE = "// SPDX-License-Identifier: BSL-1.0\n#pragma once\n"


def sound_tree():
    def lists(*names):
        return PROLOGUE + "".join(f"#include <asynchio/{name}.hpp>\n" for name in names)

    return {
        "include/asynchio.hpp": lists("core", "loop", "io", "task", "thread", "version"),
        "include/asynchio/version.hpp": PROLOGUE + "#define ASYNCHIO_VERSION_MAJOR 0\n",
        "include/asynchio/core.hpp": lists("core/errors"),
        "include/asynchio/loop.hpp": lists("loop/event_loop"),
        "include/asynchio/task.hpp": lists("task/task", "task/sleep"),
        "include/asynchio/thread.hpp": lists("thread/to_thread"),
        "include/asynchio/io.hpp": lists("io/resolve"),
        "include/asynchio/core/errors.hpp": PROLOGUE + "// #define in a comment\n#include <exception>\n",
        "include/asynchio/core/detail/text.hpp": PROLOGUE,
        "include/asynchio/loop/event_loop.hpp": lists("core/errors"),
        "include/asynchio/task/task.hpp": lists("core/errors", "version") + "// #include <chrono>\n",
        "include/asynchio/task/sleep.hpp": lists("task/task") + '#include "detail/timer.hpp"\n#include <chrono>\n',
        "include/asynchio/task/detail/timer.hpp": PROLOGUE,
        "include/asynchio/thread/to_thread.hpp": lists("task/task"),
        "include/asynchio/io/resolve.hpp": lists("thread/to_thread"),
        "include/asynchio/adapters/curl.hpp": lists("io/resolve") + "#include <curl/curl.h>\n",
        "tests/core/errors.test.cpp": "// covers: core/detail/text.hpp\n",
        "tests/loop/event_loop.test.cpp": "",
        "tests/task/task.test.cpp": "// covers: sleep.hpp task/detail/timer.hpp thread/to_thread.hpp\n",
        "tests/io/resolve.test.cpp": "",
        "tests/adapters/curl.test.cpp": "",
    }


def report(files, *rules):
    """The lines that check.py prints for a tree of these files."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = check.main([root, *rules])
        lines = out.getvalue().splitlines()
        assert (status == 0) == (not lines)
        return lines


class check_self_test(unittest.TestCase):
    broken_rules = set()

    def test_a_sound_tree_passes(self):
        self.assertEqual(report(sound_tree()), [])

    def expect(self, rule, message, changes, also=()):
        """With `changes` (appended text, or None to remove), `rule` says `message`, and no rule but `also` complains."""
        files = sound_tree()
        for name, text in changes.items():
            if text is None:
                del files[name]
            else:
                files[name] = files.get(name, "") + text
        lines = report(files, rule)
        self.assertTrue(any(message in line for line in lines), f"{rule} said {lines}, not {message!r}")
        for other in check.RULES:
            if other != rule and other not in also:
                self.assertEqual(report(files, other), [], f"{other} complains too")
        check_self_test.broken_rules.add(rule)

    def test_upward_edge(self):
        changes = {"include/asynchio/core/detail/text.hpp": "#include <asynchio/loop/event_loop.hpp>\n"}
        self.expect("edges", "module core may not include loop/event_loop.hpp", changes)

    def test_neighbour_edge(self):
        edge = {"include/asynchio/thread/to_thread.hpp": "#include <asynchio/io/resolve.hpp>\n"}
        self.expect("edges", "module thread may not include io/resolve.hpp", edge, also=("cycles",))

    def test_only_to_thread_is_excepted(self):
        changes = {
            "include/asynchio/thread/pool.hpp": PROLOGUE,
            "include/asynchio/thread.hpp": "#include <asynchio/thread/pool.hpp>\n",
            "include/asynchio/io/resolve.hpp": '#include "../thread/pool.hpp"\n',
            "tests/thread/pool.test.cpp": "",
        }
        self.expect("edges", "module io may not include thread/pool.hpp", changes)

    def test_detail_of_another_module(self):
        edge = {
            "include/asynchio/thread/detail/child_tasks.hpp": PROLOGUE,
            "include/asynchio/io/resolve.hpp": "#include <asynchio/thread/detail/child_tasks.hpp>\n",
        }
        self.expect("edges", "a detail of another module", edge)
        below = {"include/asynchio/loop/event_loop.hpp": PROLOGUE + "#include <asynchio/core/detail/text.hpp>\n"}
        self.assertEqual(report({**sound_tree(), **below}, "edges"), [])

    def test_umbrella_inside(self):
        edge = {"include/asynchio/io/resolve.hpp": "#include <asynchio/task.hpp>\n"}
        self.expect("edges", "is for users", edge)

    def test_missing_header(self):
        edge = {"include/asynchio/io/resolve.hpp": "#include <asynchio/io/gone.hpp>\n"}
        self.expect("edges", "includes asynchio/io/gone.hpp, which is not there", edge)

    def test_unknown_module(self):
        changes = {
            "include/asynchio/attic/old.hpp": PROLOGUE,
            "include/asynchio/attic.hpp": PROLOGUE + "#include <asynchio/attic/old.hpp>\n",
            "include/asynchio.hpp": "#include <asynchio/attic.hpp>\n",
            "tests/attic/old.test.cpp": "",
        }
        self.expect("edges", "unknown module attic", changes)

    def test_cycle(self):
        edge = {"include/asynchio/task/detail/timer.hpp": '#include "../sleep.hpp"\n'}
        self.expect("cycles", "task/detail/timer.hpp -> task/sleep.hpp", edge)

    def test_long_header(self):
        self.expect("size", "401 lines of code, at most 400", {"include/asynchio/task/sleep.hpp": "int x;\n" * 397})

    def test_long_comments(self):
        files = sound_tree()
        files["include/asynchio/task/sleep.hpp"] += "// text\n\n" * 400
        self.assertEqual(report(files, "size"), [])

    def test_macro(self):
        self.expect("macros", "#define LEAK", {"include/asynchio/core/errors.hpp": "#  define LEAK 1\n"})
        self.expect("macros", "#undef LEAK", {"include/asynchio/core/errors.hpp": "#undef LEAK\n"})

    def test_prologue(self):
        name = "include/asynchio/io/detail/bare.hpp"
        self.expect("prologue", "lack `#pragma once`", {name: "// SPDX-License-Identifier: BSL-1.0\n"})
        self.expect("prologue", "lack `// SPDX", {name: "#pragma once\n"})

    def test_module_header(self):
        name = "include/asynchio/task/extra.hpp"
        changes = {name: PROLOGUE, "tests/task/extra.test.cpp": ""}
        self.expect("modules", "include/asynchio/task.hpp: does not list task/extra.hpp", changes)
        changes = {"include/asynchio/task.hpp": "#include <asynchio/core/errors.hpp>\n"}
        self.expect("modules", "not a public header of the module", changes)
        changes = {"include/asynchio/task.hpp": "#include <asynchio/task/detail/timer.hpp>\n"}
        self.expect("modules", "not a public header of the module", changes)
        changes = {"include/asynchio/task.hpp": "namespace asynchio {}\n"}
        self.expect("modules", "holds code", changes, also=("visibility",))
        self.expect("modules", "no such module", {"include/asynchio/attic.hpp": PROLOGUE})

    def test_tools_are_apart(self):
        umbrella = sound_tree()["include/asynchio.hpp"] + "#include <asynchio/debug.hpp>\n"
        tree = {
            "include/asynchio.hpp": umbrella,
            "include/asynchio/debug.hpp": PROLOGUE + "#include <asynchio/debug/dump.hpp>\n",
            "include/asynchio/debug/dump.hpp": PROLOGUE,
            "include/asynchio/debug/tools.hpp": PROLOGUE + "#include <asynchio/debug/profiler.hpp>\n",
            "include/asynchio/debug/profiler.hpp": PROLOGUE,
            "tests/debug/tools.test.cpp": "// covers: dump.hpp profiler.hpp\n",
        }
        self.assertEqual([], report({**sound_tree(), **tree}))
        listed = {**tree, "include/asynchio/debug.hpp": tree["include/asynchio/debug/tools.hpp"]}
        self.expect("modules", "lists debug/profiler.hpp, which is not a public header of the module, or a tool", listed)

    def test_module_without_header(self):
        changes = {"include/asynchio/sync/event.hpp": PROLOGUE, "tests/sync/event.test.cpp": ""}
        self.expect("modules", "sync.hpp: the module has no header", changes)

    def test_umbrella(self):
        changes = {
            "include/asynchio/sync/event.hpp": PROLOGUE,
            "include/asynchio/sync.hpp": PROLOGUE + "#include <asynchio/sync/event.hpp>\n",
            "tests/sync/event.test.cpp": "",
        }
        self.expect("modules", "asynchio.hpp: does not include sync.hpp", changes)
        changes = {"include/asynchio.hpp": "#include <asynchio/adapters/curl.hpp>\n"}
        self.expect("modules", "adapters/curl.hpp, which is not a module header", changes)
        self.expect("modules", "there is no umbrella", {"include/asynchio.hpp": None})

    def test_cost(self):
        self.expect("cost", "includes <atomic>", {"include/asynchio/core/errors.hpp": "#include <atomic>\n"})

    def test_mirror(self):
        self.expect("mirror", "no tests/io/resolve.test.cpp", {"tests/io/resolve.test.cpp": None})
        changes = {"tests/io/resolve.test.cpp": "// covers: gone.hpp\n"}
        self.expect("mirror", "covers io/gone.hpp, which is not there", changes)
        changes = {"include/asynchio/core/detail/number.hpp": PROLOGUE}
        self.expect("mirror", "core/detail/number.hpp: no tests/core/number.test.cpp", changes)

    def test_unused(self):
        for body, declared in (
            ("class c {\n    virtual void f();\n};\n", "virtual void f();"),
            ("class d : c {\npublic:\n    void f() noexcept override;\n};\n", "void f() noexcept override;"),
            ("class d : c {\n    int f(int a,\n          int b) const final;\n};\n", "int f(int a, int b) const final;"),
        ):
            self.expect("unused", declared, {"include/asynchio/core/errors.hpp": PROLOGUE + body})
        sound = ("class c final : b {\n    inline void f() override;\n    virtual inline void g();\n    virtual void h() = 0;\n"
                 "    ~c() override = default;\n    void i() override { j(); }\n};\n")
        self.assertEqual(report({**sound_tree(), "include/asynchio/core/errors.hpp": PROLOGUE + sound}, "unused"), [])

    def test_links(self):
        errors, task = "include/asynchio/core/errors.hpp", "include/asynchio/task/task.hpp"
        declared = PROLOGUE + "class c {\npublic:\n    inline int f();\n};\n"
        for defined in ("inline int c::f() { return 1; }\n", "inline ns::d c::f() {\n}\n"):
            self.expect("links", "defines c::f, and core/errors.hpp declares it", {errors: declared, task: defined})
            self.assertEqual(report({**sound_tree(), errors: declared + defined}, "links"), [])
        declared = PROLOGUE + "template<class T>\nT* f(const int& a,\n     int (*b)(int)) noexcept;\n"
        defined = "template<class T>\nT* f(const int& a, int (*b)(int)) noexcept {\n    return g(a, b);\n}\n"
        self.expect("links", "declares f, and does not include its definition", {errors: declared, task: defined})
        self.assertEqual(report({**sound_tree(), errors: declared + defined}, "links"), [])

    def test_visibility(self):
        named = "namespace asynchio {}\n"
        push = "\n#pragma GCC visibility push(default)\n"
        pop = "\n#pragma GCC visibility pop\n"
        path = "include/asynchio/core/errors.hpp"
        for text in (named, push + named, named + push + pop, push + "#include <new>\n" + named + pop):
            self.expect("visibility", "no `#pragma GCC visibility push(default)`", {path: text})
        self.assertEqual(report({**sound_tree(), path: PROLOGUE + push + named + pop}, "visibility"), [])

    def test_notes(self):
        for word in ("TO" "DO", "FIX" "ME", "NO" "LINT", "#pragma GCC diag" "nostic push"):
            self.expect("notes", "line 1", {"examples/hello.cpp": f"// {word}: later\n"})

    @classmethod
    def tearDownClass(cls):
        untried = set(check.RULES) - cls.broken_rules
        assert not untried, f"no test breaks {sorted(untried)}"


if __name__ == "__main__":
    unittest.main()
