// SPDX-License-Identifier: BSL-1.0
#pragma once

// The mark of the loop that runs on a thread.

#include <asynchio/loop/context.hpp>
#include <asynchio/loop/detail/fork_count.hpp>
#include <asynchio/loop/detail/scheduler.hpp>
#include <asynchio/loop/detail/stack_room.hpp>

#include <stdexcept>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Makes a loop the running one of this thread while it lives. A loop that ran here when the process was forked becomes
/// the running one again afterwards.
class running_mark {
public:
    explicit running_mark(scheduler& loop) noexcept {
        this_thread.running = &loop;
        this_thread.current = nullptr;
        this_thread.process = fork_count;
    }
    running_mark(const running_mark&) = delete;
    running_mark& operator=(const running_mark&) = delete;
    ~running_mark() {
        this_thread.running = outer_;
        this_thread.current = outer_task_;
        this_thread.process = outer_process_;
    }

    /// Whether a loop runs on this thread. A loop that ran in a parent process when that was forked does not count.
    static bool is_set() noexcept { return this_thread.running != nullptr && this_thread.process == fork_count; }

private:
    scheduler* const outer_ = this_thread.running;
    ready_item* const outer_task_ = this_thread.current;
    const unsigned outer_process_ = this_thread.process;
    stack_base base_{stack_room()};
    context_scope outside_{nullptr}; // tasks and calls have contexts of their own
};

/// @throws std::logic_error, which says that no loop runs on this thread.
[[noreturn, gnu::noinline, gnu::cold]] inline void no_running_loop() {
    throw std::logic_error(
        "there is no running event loop on this thread (code of a plugin sees it only if the program "
        "was linked with -rdynamic)");
}

} // namespace asynchio::detail

#pragma GCC visibility pop
