#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""prose.py on small made-up headers: a sound one passes, and each violation is reported with its line."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

import prose  # noqa: E402

SOUND = """\
// SPDX-License-Identifier: BSL-1.0
#pragma once

// A lamp.

namespace asynchio {

namespace detail {
struct bulb { int watts; };
class lamp_awaiter {
public:
    bool await_ready() const noexcept { return true; }
    void await_resume() {}
};
class late_awaiter final : public lamp_awaiter {};
inline lamp_awaiter wait_for_light() { return {}; }
} // namespace detail

/// The colours that a lamp can have.
enum class colour : unsigned char { red, green };

/// What can be lit.
template<class T>
concept light = requires(T& x) {
    { x.on() };
};

/// A lamp.
///
/// Threads: one.
/// Lifetime: burns until it is off.
/// Cost: a bulb.
/// Example: `lamp<int> l;`
/// See also: light.
template<class T, class U = decltype(sizeof(T))>
class [[nodiscard("(a lamp)")]] lamp final {
public:
    using value_type = T;
    class switch_awaiter;

    lamp() noexcept = default;
    lamp(lamp&& other) noexcept : bulb_{other.bulb_}, on_(false) {}
    lamp& operator=(lamp&&) = delete;
    ~lamp() { off(); }
    bool operator==(const lamp&) const = default;

    /// Turns it off.
    void off() noexcept try { on_ = false; } catch (...) {
    }
    /// Whether it is on.
    template<class V>
        requires(!requires(V v) { v.x; })
    bool on(V = {}) const { return on_; }
    /// Waits for light. Cancellation: ends the wait.
    detail::late_awaiter wait(int = 0) noexcept;
    /// Waits, too. Cancellation: ends the wait.
    auto again() { return detail::wait_for_light(); }
    /// How bright it is.
    static constexpr int brightness{1};

private:
    explicit lamp(detail::bulb b) noexcept : bulb_(b) {}
    int power() const { return 1; }
    detail::bulb bulb_;
    bool on_ = false; // that it burns
};

/// Prints a lamp.
inline void print(const lamp<int>& l);
inline void print(const lamp<int>& l) {
    static_cast<void>(l);
    {}
    {}
    {}
}

} // namespace asynchio
"""


def report(text, *options, test=""):
    """The exit status and the lines that prose.py prints for a tree with one header `text`, and one test."""
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "tests/home").mkdir(parents=True)
        (Path(root) / "tests/home/lamp.test.cpp").write_text(test, encoding="utf-8")
        folder = Path(root) / "include/asynchio/home"
        folder.mkdir(parents=True)
        (folder / "lamp.hpp").write_text(text, encoding="utf-8")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = prose.main([root, *options])
        return status, out.getvalue().splitlines()


def found(lines):
    """The violations among these lines, apart from the share of doc lines, which any change of a small header moves."""
    return [line for line in lines[4:] if not line.startswith("include:1:")]


class prose_self_test(unittest.TestCase):
    def test_a_sound_header_passes(self):
        status, lines = report(SOUND)
        self.assertEqual(status, 0, lines)
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[0], "public entities: 10, without a doc comment: 0")
        self.assertEqual(lines[1], "awaitables: 2, without Cancellation: 0")

    def expect(self, what, old, new):
        """With `old` replaced by `new`, each line in `what` is the only one that is reported, with the number of its line."""
        self.assertIn(old, SOUND)
        text = SOUND.replace(old, new, 1)
        status, lines = report(text)
        self.assertEqual(status, 1)
        self.assertEqual(found(lines), [
            f"include/asynchio/home/lamp.hpp:{text[: text.index(at)].count(chr(10)) + 1}: {said}" for at, said in what])
        self.assertEqual(report(text, "--count"), (0, lines[:4]))

    def test_entities_without_a_doc_comment(self):
        for comment, at, said in (
            ("/// The colours that a lamp can have.\n", "enum class", "enum colour"),
            ("/// What can be lit.\n", "template<class T>\nconcept", "concept light"),
            ("    /// Turns it off.\n", "    void off", "function off"),
            ("    /// Whether it is on.\n", "    template<class V>", "function on"),
            ("    /// How bright it is.\n", "    static constexpr", "variable brightness"),
        ):
            self.expect([(at, f"{said} has no doc comment")], comment, "")
        self.expect([("template<class T, class U", "class lamp has no doc comment")], "/// See also: light.\n", "\n")

    def test_a_comment_in_the_way(self):
        self.expect([("    void off", "function off has no doc comment")], "off.\n    void", "off.\n\n    void")

    def test_a_declaration_without_a_doc_comment(self):
        self.expect([("inline void print", "function print has no doc comment"),
                     ("inline void print(const lamp<int>& l) {", "function print has no doc comment")],
                    "/// Prints a lamp.\n", "")

    def test_a_nested_class_that_is_public(self):
        text = "template<class T, class U>\nclass lamp<T, U>::switch_awaiter {\npublic:\n    int what;\n};\n"
        self.expect([("template<class T, class U>\n", "class lamp::switch_awaiter has no doc comment"),
                     ("    int what", "variable what has no doc comment")],
                    "/// Prints a lamp.\n", text + "\n/// Prints a lamp.\n")
        hidden = SOUND.replace("    int power()", "    class inside;\n    int power()")
        text = "template<class T, class U>\nclass lamp<T, U>::inside {\npublic:\n    int what;\n};\n\n/// Prints"
        self.assertEqual(found(report(hidden.replace("/// Prints", text))[1]), [])

    def test_awaitables_without_cancellation(self):
        self.expect([("    detail::late_awaiter wait", "awaitable wait has no `Cancellation:`")],
                    "light. Cancellation: ends", "light: ends")
        self.expect([("    auto again", "awaitable again has no `Cancellation:`")], "too. Cancellation: ends", "too: ends")
        self.expect([("inline void print", "awaitable print has no `Cancellation:`")], "Prints a", "Awaitable: prints a")
        of_class = SOUND.replace("Cancellation: ends", "It ends").replace("/// Threads:", "/// Cancellation: no.\n/// Threads:")
        self.assertEqual(report(of_class)[1][4:], [])

    def test_signatures_that_name_detail(self):
        off = "    void off() noexcept"
        for new in ("    void off(int, detail::bulb b) noexcept", "    detail::bulb off() noexcept", "    detail::bulb off"):
            kind = "function" if "(" in new else "variable"
            self.expect([(new, f"{kind} off names a type of detail")], off + " try { on_ = false; } catch (...) {\n    }",
                        new + (" {}" if kind == "function" else ";"))
        self.expect([("    explicit lamp", "function lamp names a type of detail")],
                    "private:\n    explicit lamp(detail::bulb b) noexcept : bulb_(b) {}\n",
                    "    /// Makes one.\n    explicit lamp(detail::bulb b) noexcept : bulb_(b) {}\n\nprivate:\n")
        for sound in ("    void off(int = detail::none) noexcept", "    template<detail::burning B>\n    void off() noexcept"):
            self.assertEqual(report(SOUND.replace(off, sound))[0], 0, sound)

    def test_fragments(self):
        for old, new, at, word in (
            ("/// Prints a lamp", "/// The same again", "/// The same", "The same"),
            ("/// Turns it off.", "/// Turns it off.\n    /// Dark. Of no use.", "    /// Dark", "Of"),
            ("// that it burns", "// Who sees it knows", "    bool on_ =", "Who"),
            ("/// Turns it off.", "/// Turns it off; who sees it\n    /// knows.", "    /// Turns", "who"),
            ("/// How bright it is.", "/// @return Of\n    /// what.", "    /// @return", "Of"),
        ):
            self.expect([(at, f'a sentence begins with "{word}"')], old, new)
        self.assertEqual(report(SOUND, test="// It is dark.\n// The same.\n")[1][4:],
                         ['tests/home/lamp.test.cpp:2: a sentence begins with "The same"'])
        for sound in ("Offers", "What is the same", "the one who sees it", "Whoever"):
            self.assertEqual(report(SOUND.replace("Prints a lamp", sound))[0], 0, sound)

    def test_share(self):
        for text in (SOUND.replace("    {}\n", "    {}\n" * 30), SOUND.replace("/// Prints", "/// It.\n" * 40 + "/// Prints")):
            status, lines = report(text)
            self.assertEqual(status, 1)
            self.assertEqual(len(lines), 5)
            self.assertRegex(lines[4], r"^include:1: \d+\.\d% of the public headers' lines are doc lines, not 25 to 35 %$")


if __name__ == "__main__":
    unittest.main()
