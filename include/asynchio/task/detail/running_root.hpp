// SPDX-License-Identifier: BSL-1.0
#pragma once

// The task, or branch of one, that runs on this thread.

#include <asynchio/loop/detail/running_mark.hpp>
#include <asynchio/loop/detail/scheduler.hpp>
#include <asynchio/task/detail/frame.hpp>

#include <coroutine>
#include <type_traits>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Returns the root that runs; called in a step.
inline frame& current_root() noexcept { return static_cast<frame&>(*this_thread.current); }

/// Returns the root of the chain that ends with `running`. If a foreign awaiter has resumed a coroutine from a plain
/// call, no task is current, and this finds it.
inline frame& root_above(frame& running) noexcept {
    frame* each = &running;
    while (!each->has(flag_root)) each = each->parent;
    return *each;
}
inline frame& root_of(frame& running) noexcept {
    ready_item* const current = this_thread.current;
    return current != nullptr ? static_cast<frame&>(*current) : root_above(running);
}

/// Returns the root above `coroutine` if no task is current because a foreign awaiter has resumed it from a plain call.
/// @throws std::logic_error if no loop runs: in a plugin that has a state of its own because the executable that has
/// loaded it exports no symbols.
[[gnu::noinline, gnu::cold]] inline frame& root_in_call(void* coroutine) {
    if (this_thread.running == nullptr) no_running_loop();
    return root_above(frame::of(coroutine));
}

/// Returns the root in whose chain `coroutine` runs. @throws std::logic_error if no loop runs.
template<class Promise>
[[gnu::always_inline]] inline frame& running_root(std::coroutine_handle<Promise> coroutine) {
    static_assert(std::is_base_of_v<promise_base, Promise>,
                  "this can be awaited only in a coroutine of this library, such as one that returns task<>");
    ready_item* const current = this_thread.current;
    if (current == nullptr) [[unlikely]]
        return root_in_call(coroutine.address());
    return static_cast<frame&>(*current);
}

/// Returns the task in whose name a root runs: that of a branch is the task that armed it, null if that is gone.
inline frame* identity_of(frame* root) noexcept {
    while (root != nullptr && root->has(flag_branch)) {
        const child_owner* owner = root->get_owner();
        root = owner != nullptr ? owner->identity() : nullptr;
    }
    return root;
}

/// Returns the task that runs on this thread, null outside of one.
inline frame* current_task_frame() noexcept { return identity_of(static_cast<frame*>(this_thread.current)); }

inline bool is_current(const ready_item& task) noexcept { return this_thread.current == &task; }

} // namespace asynchio::detail

#pragma GCC visibility pop
