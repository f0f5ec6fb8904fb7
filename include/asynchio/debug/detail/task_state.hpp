// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is printed about a task: what it does, and the coroutines in which it stands.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/detail/debug_notes.hpp>

#include <source_location>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

using asynchio::detail::flag_branch;
using asynchio::detail::flag_done;
using asynchio::detail::flag_future;
using asynchio::detail::flag_started;
using asynchio::detail::frame;
using asynchio::detail::shared_state;

/// Whether a step of the task is under way.
inline bool is_running(const frame& task) noexcept { return task.loop != nullptr && task.loop->runs(task); }

/// Returns what debug mode has noted of the loop of `what`; null if it has not.
inline asynchio::detail::debug_notes<>* notes_of(const shared_state& what) noexcept {
    return what.loop != nullptr ? asynchio::detail::notes_of(what.loop) : nullptr;
}

/// Returns what a task or future does: "running", "waiting for task Task-3", "pending", ... In debug mode it says who
/// holds the lock for which a task waits, and for how long it has waited.
template<class = void> // a template, so that a file that does not use it does not compile it
std::string state_of(const shared_state& what) {
    if (what.done()) return what.cancelled() ? "cancelled" : what.failed() ? "failed" : "done";
    if (what.has(flag_future)) return "pending";
    const auto& task = static_cast<const frame&>(what);
    std::string text;
    if (is_running(task)) {
        text = "running";
    } else if (const suspension* hook = asynchio::detail::hook_of(task); hook != nullptr) {
        text = "waiting for ";
        text += hook->waiting_for();
        const shared_state* target = asynchio::detail::access::awaited(*hook);
        if (target != nullptr && !target->has(flag_future)) {
            text += ' ';
            text += asynchio::detail::task_name(static_cast<const frame&>(*target));
        }
        if (target != nullptr && target->has(flag_future) && target->references == 1 && !target->done())
            text += " to which nobody else refers, so that nobody can complete it";
        if (asynchio::detail::debug_notes<>* const notes = notes_of(task)) {
            text += notes->holder(task);
            if (const asynchio::detail::nanoseconds_count since = notes->since(task);
                since != asynchio::detail::unknown_time)
                text += asynchio::detail::formatted(", for %.3f seconds",
                                                    static_cast<double>(task.loop->now() - since) * 1e-9);
        }
    } else {
        text = task.has(flag_started) ? "ready" : "not started";
    }
    if (task.cancels > 0) {
        text += ", cancelling ";
        text += std::to_string(task.cancels);
    }
    return text;
}

/// Calls `f(where)` for each coroutine in which a task stands that is not done, from the innermost outward. The
/// innermost one of a running task has gone on behind its line.
template<class F>
void each_frame(frame& task, F f) {
    const bool suspended = task.what == asynchio::detail::ready_item::kind::step;
    const frame* each = is_running(task) ? &task.innermost() : suspended ? &frame::of(task.resume_point) : &task;
    for (; each != nullptr && each != &task; each = each->parent) f(each->where());
    f(task.where());
}

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
