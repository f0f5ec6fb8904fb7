// SPDX-License-Identifier: BSL-1.0
#pragma once

// A program as it was read: S-expressions whose statements know the functions that run them.

#include <asynchio/task.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace oracle {

class world;
struct node;

using plain_statement = void (*)(world&, const node&);
using waiting_statement = asynchio::task<> (*)(world&, const node&);
using plain_statements = std::map<std::string_view, plain_statement>;
using waiting_statements = std::map<std::string_view, waiting_statement>;

/// One of them; a statement is `(name id argument...)`.
struct node {
    bool is_list = false;
    bool is_none = false;
    int number = 0;
    std::string word;
    std::vector<node> parts;
    plain_statement plain = nullptr;
    waiting_statement waiting = nullptr;

    const node& at(std::size_t index) const { return parts.at(index); }
    /// Returns the number of a statement, as it is written.
    const std::string& id() const { return at(1).word; }
    const node& argument(std::size_t index) const { return at(index + 2); }
    /// As a place in an array, as a flag, and as a limit of time.
    std::size_t place() const { return static_cast<std::size_t>(number); }
    bool flag() const { return number != 0; }
    std::chrono::seconds seconds() const { return std::chrono::seconds(number); }
    std::optional<std::chrono::seconds> limit() const { return is_none ? std::nullopt : std::optional(seconds()); }
    /// Whether t3 or f0 is a task, and which.
    bool is_task() const { return word.front() == 't'; }
    std::size_t slot() const { return static_cast<std::size_t>(word.at(1) - '0'); }
    /// The names of a list; one of nothing counts as tasks.
    bool are_futures() const { return !parts.empty() && !parts.front().is_task(); }
};

/// @throws std::runtime_error for what is not a program.
node parse(std::string_view text, const plain_statements& plain, const waiting_statements& waiting);

} // namespace oracle
