#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The comments of the include tree, counted and checked.

    prose.py ROOT [--count]     prints the figures, then each violation as `path:line: what`, and exits with 1 when there is
                                one; with --count only the figures

    undocumented   a public class, function, data member, variable, enum, concept or alias without a doc comment (`///`)
    cancellation   an awaitable without a `Cancellation:` part, in its own doc comment or in that of its class
    fragments      a sentence of any comment, also of tests, examples and benchmarks, that begins with "The same", "Of" or
                   "Who", or goes on with ": who"
    doors          a public function or data member whose signature names a type of detail, unless that is the awaitable that
                   it returns; what is awaited has a type without a name, and what stands in DOORS a reason
    share          the doc lines of all public headers are 25 to 35 % of their lines; blank lines, includes, pragmas and what
                   stands in namespace detail do not count

Not held to `undocumented`: what the language asks for by name (copies, moves, destructors, comparisons, the functions that
co_await, range-for and coroutines call), what is private, protected, a friend or an override, and aliases inside of classes.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

import check  # noqa: E402

LEAST_SHARE, MOST_SHARE = 0.25, 0.35
PROTOCOL = re.compile(
    r"await_\w+|operator co_await|async_enter|async_exit|begin|end|promise_type|get_return_object|initial_suspend|"
    r"final_suspend|unhandled_exception|return_value|return_void|yield_value|await_transform|get_return_object\w*|"
    r"operator(?:==|!=|<=>|<|>|<=|>=|=|\+\+|--| delete| new)"
)
TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:\\\n|[^\n])*|R"(?P<d>[^()\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    r"|\w+|\[\[|\]\]|::|->|<=>|==|!=|<=|>=|&&|\|\||\S",
    re.S | re.M,
)
FRAGMENT = re.compile(r"(?:^|[.!?:;]\s+|@(?:param\s+\w+|return|throws\s+[\w:]+)\s+)(The same|Of|Who)\b|[:;]\s(who)\b")
# Signatures that name detail although users see them, each with its reason.
DOORS = {
    "as_completed_iterator::as_completed_iterator": "a std::optional of the scope makes it in place",
    "exception_context::object": "an aggregate has no private members; task() is for users",
}
SPECIFIERS = {"inline", "constexpr", "consteval", "constinit", "static", "explicit", "virtual", "mutable", "thread_local"}
CLOSER = {"(": ")", "[": "]", "{": "}", "[[": "]]"}


class entity:
    """One declaration at namespace or class scope."""

    def __init__(self, words, line, doc, scope):
        self.line, self.doc, self.scope, self.shown = line, doc, scope, scope.shown()
        self.words = without_head(words)
        self.kind, self.name = self.classify()
        self.body = ""

    def classify(self):
        words = self.words
        first = words[0] if words else ""
        if first in ("namespace", "class", "struct", "union", "enum"):
            rest = without_head([w for w in words[1:] if w not in ("class", "struct")])
            name, depth = [], 0
            for word in rest:
                depth += {"<": 1, ">": -1}.get(word, 0)
                if depth == 0 and (word in (":", "{", ";", "final") or "(" in word):
                    break
                if depth == 0 and word != ">":
                    name.append(word)
            return ("namespace" if first == "namespace" else "enum" if first == "enum" else "class"), "".join(name)
        if first in ("using", "typedef"):
            return ("alias" if "=" in words else "using"), words[1] if len(words) > 1 else ""
        if first == "concept":
            return "concept", words[1]
        if first in ("friend", "static_assert", "extern", "asm", ";", ""):
            return "other", ""
        if "operator" in words:
            at = words.index("operator")
            rest = words[at + 1 :]
            end = rest.index("(") if "(" in rest[1:] or rest[:1] != ["("] else 1
            if rest[:2] == ["(", ")"]:
                return "function", "operator()"
            text = rest[: end if end else 1]
            return "function", "operator" + (" " if text[0][0].isalpha() else "") + "".join(text)
        depth = 0
        for at, word in enumerate(words):
            if word == "=" and depth == 0:
                break
            if word == "<":
                depth += 1
            elif word == ">":
                depth -= 1
            elif word == "(" and depth == 0 and at > 0 and words[at - 1] not in ("decltype", "noexcept", "explicit", "alignas"):
                name = words[at - 1]
                qualifier = words[at - 2] if at > 1 else ""
                return "function", qualifier + name if qualifier in ("~", "::") else name
        end = min([words.index(word) for word in ("=", "{") if word in words], default=len(words))
        named = [word for word in words[:end] if re.match(r"\w", word)]
        return "variable", named[-1] if named else ""

    def returned(self):
        """The words of the type that a function returns."""
        name = self.name.removeprefix("::")
        if "->" in self.words:
            return self.words[self.words.index("->") :]
        return self.words[: self.words.index(name)] if name in self.words else []


def without_head(words):
    """The words without a leading template head, attributes and requires clause."""
    words = list(words)
    while words:
        if words[0] == "template" and words[1:2] == ["<"]:
            depth, at = 0, 1
            while at < len(words):
                if words[at] in CLOSER:
                    at = matching(words, at)
                depth += {"<": 1, ">": -1}.get(words[at], 0)
                at += 1
                if depth == 0:
                    break
            words = words[at:]
        elif words[0] == "[[":
            words = words[matching(words, 0) + 1 :]
        elif words[0] == "requires":
            words = words[end_of_clause(words, 1) :]
        elif words[0] in SPECIFIERS:
            words = words[1:]
            if words[:1] == ["("]:
                words = words[matching(words, 0) + 1 :]
        else:
            break
    return words


def end_of_clause(words, at):
    """Behind the constraint that begins at `at`."""
    while at < len(words):
        while words[at] == "!":
            at += 1
        if words[at] == "requires":
            at += 1
            if words[at] == "(":
                at = matching(words, at) + 1
            at = matching(words, at) + 1
        elif words[at] == "(":
            at = matching(words, at) + 1
        else:
            at += 1
            while at < len(words) and words[at] in ("::", "<"):
                if words[at] == "::":
                    at += 2
                    continue
                depth = 0
                while at < len(words):
                    if words[at] in CLOSER:
                        at = matching(words, at)
                    depth += {"<": 1, ">": -1}.get(words[at], 0)
                    at += 1
                    if depth == 0:
                        break
        if words[at : at + 1] and words[at] in ("&&", "||"):
            at += 1
            continue
        return at
    return at


def matching(words, at):
    """Where the bracket closes that opens at `at`."""
    closer, opener, depth = CLOSER[words[at]], words[at], 0
    for i in range(at, len(words)):
        depth += (words[i] == opener) - (words[i] == closer)
        if depth == 0:
            return i
    return len(words) - 1


class scope:
    """A namespace or a class, with the access of what comes next in it."""

    def __init__(self, kind, name, visible, doc, access):
        self.kind, self.name, self.visible, self.doc, self.access = kind, name, visible, doc, access

    def shown(self):
        return self.visible and self.access == "public"


def is_constraint(words, start, at):
    """Whether the brace at `at` opens the body of a requires expression."""
    opening = at - 1
    if words[opening] == ")":
        depth = 0
        while opening > start:
            depth += (words[opening] == ")") - (words[opening] == "(")
            if depth == 0:
                break
            opening -= 1
        opening -= 1
    return words[opening] == "requires"


def entities(text):
    """The declarations at namespace and class scope, each with its doc comment and its scope."""
    tokens, comments = [], {}
    for match in TOKEN.finditer(text):
        word, line = match[0], text.count("\n", 0, match.start()) + 1
        if word.startswith(("//", "/*")):
            comments[line] = word
        elif not word.lstrip().startswith("#"):
            tokens.append((word, line))
    words = [word for word, _ in tokens]

    def doc_before(line):
        found, above = [], line - 1
        while comments.get(above, "").startswith("///"):
            found.insert(0, comments[above][3:].strip())
            above -= 1
        return "\n".join(found)

    found = []
    stack = [scope("namespace", "", True, "", "public")]
    at = start = 0
    while at < len(words):
        word, here = words[at], stack[-1]
        if at == start and word in ("public", "private", "protected") and words[at + 1 : at + 2] == [":"]:
            here.access = word
            at = start = at + 2
        elif at == start and word == "}":
            stack.pop()
            at += 1
            at += words[at : at + 1] == [";"]
            start = at
        elif word in ("(", "[", "[["):
            at = matching(words, at) + 1
        elif word == ";" or word == "{":
            if at == start and word == ";":
                at = start = at + 1
                continue
            line = tokens[start][1]
            one = entity(words[start : at + 1], line, doc_before(line), here)
            if word == ";":
                one.defined = False
                found.append(one)
                at = start = at + 1
            elif one.kind in ("namespace", "class"):
                one.defined = True
                found.append(one)
                visible = here.shown() and "detail" not in one.name.split("::")
                struct = "class" not in one.words[:1]
                stack.append(scope(one.kind, one.name, visible, one.doc, "public" if struct else "private"))
                at = start = at + 1
            else:
                end = matching(words, at)
                goes_on = words[end + 1 : end + 2] in ([","], ["{"])  # a member is initialized in braces
                whole = one.kind in ("enum", "concept", "variable", "alias", "using")  # up to the semicolon
                if whole or goes_on or is_constraint(words, start, at):
                    at = end + 1
                else:
                    one.defined, one.body = True, " ".join(words[at:end])
                    found.append(one)
                    while words[end + 1 : end + 2] == ["catch"]:
                        end = matching(words, matching(words, end + 2) + 1)
                    at = start = end + 1
        else:
            at += 1
    return found


def awaiters(headers):
    """The names of the classes that have await_resume or derive from one that has; those and the functions that return one."""
    bases, names, functions = {}, set(), {}
    for h in headers:
        for one in entities(h.text):
            if one.kind == "class" and one.defined:
                name = one.name.split("::")[-1]
                words = one.words
                bases.setdefault(name, set()).update(words[words.index(":") + 1 :] if ":" in words else [])
            elif one.kind == "function" and one.name == "await_resume":
                names.add(one.scope.name.split("::")[-1])
            elif one.kind == "function":
                functions.setdefault(one.name.removeprefix("::"), set()).update(one.returned() + returned_by(one))
    names.discard("")
    while more := {name for name, of in bases.items() if of & names} - names:
        names |= more
    made = {"task"} | names
    while more := {name for name, of in functions.items() if of & made} - made:
        made |= more
    return names, made


def returned_by(one):
    """What a function with the return type `auto` returns, as far as it is named behind `return`."""
    if "auto" not in one.returned():
        return []
    return re.findall(r"\breturn\s+(?:detail :: )?(\w+) (?:\(|<)", one.body)


def names_detail(one):
    """Whether a function takes something of detail, or a variable has a type of detail; and whether a function returns one."""
    words = one.words
    if one.kind == "variable":
        return "detail" in words[: min((words.index(at) for at in ("=", "{") if at in words), default=len(words))], False
    name = one.name.removeprefix("::")
    at = next((i for i in range(1, len(words)) if words[i] == "(" and words[i - 1] == name), None)
    if at is None:
        return False, False
    taken, default = [], False
    for word in words[at : matching(words, at)]:
        default = word == "=" or default and word != ","
        taken += [] if default else [word]
    return "detail" in taken, "detail" in words[: at - 1]


def is_asked(one, hidden, awaiters):
    """Whether users see it, so that it needs a doc comment."""
    if not one.shown or one.kind in ("namespace", "other", "using") or one.scope.name.split("::")[-1] == "std":
        return False
    if one.scope.name in hidden or one.scope.name.endswith("promise_type"):
        return False
    own = one.scope.name.split("::")[-1].split("<")[0] if one.scope.kind == "class" else None
    if one.kind == "class":
        return one.defined and one.name not in hidden and bool(one.name) and not one.name.endswith("promise_type")
    if one.kind == "alias":
        return own is None
    if one.kind == "function":
        if one.name.startswith(("::", "~")) or PROTOCOL.fullmatch(one.name) or "override" in one.words:
            return False
        if own is not None and one.name == own:
            inside = one.words[one.words.index("(") :]
            inside = inside[: matching(inside, 0) + 1]
            special = inside[1:2] == [")"] or own in inside and len([w for w in inside if w == ","]) == 0
            return not (special or own in awaiters or "default" in one.words or "delete" in one.words)
        return not (own is None and "->" in one.words and one.words[0] == one.name) and "delete" not in one.words[-2:]
    return bool(one.name)


def comments_of(text):
    """The lines, each as (number, text), of each comment: consecutive lines are one, and so is a trailing comment."""
    found, block, last = [], [], -1
    for match in TOKEN.finditer(text):
        word = match[0]
        if not word.startswith("//"):
            continue
        line = text.count("\n", 0, match.start()) + 1
        alone = not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
        said = word.lstrip("/<").strip()
        if alone and line == last + 1 and block and said:
            block.append((line, said))
        else:
            block = [(line, said)]
            found.append(block)
        last = line if alone and said else -1
    return found


def fragments(text):
    for block in comments_of(text):
        joined, starts = "", []
        for line, said in block:
            starts.append((len(joined), line))
            joined += said + " "
        for match in FRAGMENT.finditer(joined):
            which = 1 if match[1] else 2
            line = max(number for at, number in starts if at <= match.start(which))
            yield line, f'a sentence begins with "{match[which]}"'


class counts:
    """The figures of a tree, and what is wrong in it."""

    def __init__(self, root):
        self.tree = check.tree(root)
        self.public = self.undocumented = self.awaitables = self.silent = self.fragments = 0
        self.doc_lines = self.lines = 0
        self.shares = {}
        self.found = []
        headers = list(self.tree.headers.values())
        self.awaiters, self.makers = awaiters(headers)
        for h in headers:
            for line, what in fragments(h.text):
                self.fragments += 1
                self.report(h, line, what)
            if h.is_public:
                self.look_at(h)
        for folder in ("tests", "examples", "benchmarks"):
            for path in sorted((self.tree.root / folder).rglob("*.?pp")):
                for line, what in fragments(path.read_text(encoding="utf-8")):
                    self.fragments += 1
                    self.found.append(f"{path.relative_to(self.tree.root)}:{line}: {what}")
        share = self.doc_lines / max(self.lines, 1)
        if not LEAST_SHARE <= share <= MOST_SHARE:
            self.found.append(f"include:1: {share:.1%} of the public headers' lines are doc lines, not 25 to 35 %")

    def report(self, h, line, what):
        self.found.append(f"{h.path.relative_to(self.tree.root)}:{line}: {what}")

    def look_at(self, h):
        all_of_it = entities(h.text)
        hidden = {f"{one.scope.name}::{one.name}" for one in all_of_it
                  if one.kind == "class" and not one.defined and not one.shown}
        declared = {(one.scope.name, one.name) for one in all_of_it
                    if one.kind == "function" and one.doc and not one.defined}
        for one in all_of_it:
            if not is_asked(one, hidden, self.awaiters):
                continue
            self.public += 1
            self.look_at_door(h, one)
            again = one.scope.kind == "namespace" and one.defined and (one.scope.name, one.name) in declared
            if not one.doc and not again:
                self.undocumented += 1
                self.report(h, one.line, f"{one.kind} {one.name} has no doc comment")
            if one.kind == "function" and not again and self.is_awaitable(one):
                self.awaitables += 1
                if "Cancellation:" not in one.doc + one.scope.doc:
                    self.silent += 1
                    self.report(h, one.line, f"awaitable {one.name} has no `Cancellation:`")
        named = re.sub(r"^namespace (?:asynchio::)?detail \{$.*?^\} // namespace \S*detail$", "", h.text, flags=re.S | re.M)
        doc = sum(line.lstrip().startswith("///") for line in named.splitlines())
        lines = sum(bool(line.strip()) and not line.startswith("#") for line in named.splitlines())
        self.doc_lines += doc
        self.lines += lines
        of_module = self.shares.setdefault(h.module, [0, 0])
        of_module[0] += doc
        of_module[1] += lines

    def look_at_door(self, h, one):
        if one.kind not in ("function", "variable") or f"{one.scope.name.split('::')[-1]}::{one.name}" in DOORS:
            return
        takes, returns = names_detail(one)
        if takes or returns and not self.is_awaitable(one):
            self.report(h, one.line, f"{one.kind} {one.name} names a type of detail")

    def is_awaitable(self, one):
        found = self.awaiters.intersection(one.returned()) or self.makers.intersection(returned_by(one))
        return "Awaitable" in one.doc or "task" in one.returned() or bool(found)

    def figures(self):
        yield f"public entities: {self.public}, without a doc comment: {self.undocumented}"
        yield f"awaitables: {self.awaitables}, without Cancellation: {self.silent}"
        yield f"sentences that begin with The same, Of or Who: {self.fragments}"
        shares = ", ".join(f"{module} {doc / max(lines, 1):.0%}" for module, (doc, lines) in self.shares.items())
        share = self.doc_lines / max(self.lines, 1)
        yield f"doc lines of public headers: {self.doc_lines} of {self.lines}, {share:.1%} ({shares})"


def main(arguments):
    counted_only = "--count" in arguments
    roots = [one for one in arguments if one != "--count"]
    if len(roots) != 1:
        sys.exit("usage: prose.py ROOT [--count]")
    c = counts(roots[0])
    print("\n".join(c.figures()))
    if counted_only:
        return 0
    print("\n".join(c.found), end="\n" if c.found else "")
    return 1 if c.found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
