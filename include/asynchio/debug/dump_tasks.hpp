// SPDX-License-Identifier: BSL-1.0
#pragma once

// Printing every task, what it waits for, and where; in release builds, too.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/task/current_task.hpp>

#include <ostream>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::debug {

namespace detail {

using asynchio::detail::frame;

inline void print_location(std::ostream& out, const std::source_location& where) {
    std::string_view file = where.file_name();
    out << function_name(where) << ' ' << file << ':' << where.line();
}

inline void print_frames(std::ostream& out, frame& task, bool suspended) {
    asynchio::detail::trivial_vector<frame*> chain; // the innermost first
    for (frame* each = suspended ? &frame::of(task.resume_point) : &task; each != nullptr && each != &task;
         each = each->parent)
        chain.push_back(each);
    chain.push_back(&task);
    for (std::size_t i = chain.size(); i-- > 0;) {
        out << "    ";
        print_location(out, chain[i]->where());
        out << '\n';
    }
}

inline void print_task(std::ostream& out, frame& task, bool running) {
    using namespace asynchio::detail;
    const suspension* hook = hook_of(task);
    out << (task.has(flag_branch) ? "  part of the task above" : task_name(task)) << ": ";
    if (running)
        out << "running";
    else if (hook != nullptr) {
        out << "waiting for " << hook->waiting_for();
        if (const shared_state* target = access::awaited(*hook); target != nullptr && !target->has(flag_future))
            out << ' ' << task_name(static_cast<const frame&>(*target));
    } else
        out << (task.has(flag_started) ? "ready" : "not started");
    if (task.cancels > 0) out << ", cancelling " << task.cancels;
    out << "\n    created at " << task.created().file_name() << ':' << task.created().line() << '\n';
    if (!running) print_frames(out, task, task.what == ready_item::kind::step);
}

} // namespace detail

/// Prints every task of a loop that is not done: its name, what it waits for, the line that created it, and its chain
/// of coroutines, the outermost first, as `function file:line`.
///
/// @param out where it prints. @param loop the loop.
/// Threads: the thread of the loop; between its iterations, from a task, or when it has stopped.
/// Cost: nothing until it is called.
/// Differs from Python: it stands for print_call_graph() and its relatives.
/// Example: `aio::dump_tasks(std::cerr);`
/// See also: event_loop::set_debug; asynchio_ps.py, which prints this for a running program, or its core file.
inline void dump_tasks(std::ostream& out, event_loop& loop) {
    auto& core = asynchio::detail::core_of(loop);
    for (asynchio::detail::frame* each = core.tasks().front(); each != nullptr; each = core.tasks().after(*each))
        detail::print_task(out, *each, core.runs(*each));
}

/// Prints every task of the running loop that is not done.
/// @param out where it prints. @throws std::logic_error without a running loop.
inline void dump_tasks(std::ostream& out) { dump_tasks(out, get_running_loop()); }

} // namespace asynchio::debug

namespace asynchio {

using debug::dump_tasks;

} // namespace asynchio

#pragma GCC visibility pop
