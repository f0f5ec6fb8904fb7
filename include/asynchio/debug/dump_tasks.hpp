// SPDX-License-Identifier: BSL-1.0
#pragma once

// Printing every task, what it waits for, and where; in release builds, too.

#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/debug/detail/task_state.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/task/current_task.hpp>

#include <ostream>
#include <source_location>
#include <string_view>

#pragma GCC visibility push(default)

namespace asynchio::debug {

namespace detail {

inline void print_location(std::ostream& out, const std::source_location& where) {
    std::string_view file = where.file_name();
    out << function_name(where) << ' ' << file << ':' << where.line();
}

inline void print_task(std::ostream& out, frame& task) {
    out << (task.has(flag_branch) ? "  part of the task above" : asynchio::detail::task_name(task)) << ": "
        << state_of(task);
    out << "\n    created at " << task.created().file_name() << ':' << task.created().line() << '\n';
    if (is_running(task)) return;
    asynchio::detail::trivial_vector<std::source_location> stack;
    each_frame(task, [&](const std::source_location& where) { stack.push_back(where); });
    for (std::size_t i = stack.size(); i-- > 0;) {
        out << "    ";
        print_location(out, stack[i]);
        out << '\n';
    }
}

} // namespace detail

/// Prints every task of a loop that is not done: its name, what it waits for, the line that created it, and its chain
/// of coroutines, the outermost first, as `function file:line`.
///
/// @param out where it prints. @param loop the loop.
/// Threads: the thread of the loop; between its iterations, from a task, or when it has stopped.
/// Cost: nothing until it is called.
/// Example: `aio::dump_tasks(std::cerr);`
/// See also: print_call_graph, event_loop::set_debug; asynchio_ps.py, which prints this for a running program, or its
/// core file.
inline void dump_tasks(std::ostream& out, event_loop& loop) {
    auto& core = asynchio::detail::core_of(loop);
    for (asynchio::detail::frame* each = core.tasks().front(); each != nullptr; each = core.tasks().after(*each))
        detail::print_task(out, *each);
}

/// Prints every task of the running loop that is not done.
/// @param out where it prints. @throws std::logic_error without a running loop.
inline void dump_tasks(std::ostream& out) { dump_tasks(out, get_running_loop()); }

} // namespace asynchio::debug

namespace asynchio {

using debug::dump_tasks;

} // namespace asynchio

#pragma GCC visibility pop
