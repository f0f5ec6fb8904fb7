// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which task, or branch of one, runs on this thread.

#include <asynchio/loop/scheduler.hpp>
#include <asynchio/task/frame.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The root that runs; only in a step.
inline frame& current_root() noexcept { return static_cast<frame&>(*this_thread.running->current()); }

/// The root of the chain that ends with `running`. Where a foreign awaiter has resumed a coroutine from a plain call, no
/// task is current, and this finds it.
inline frame& root_above(frame& running) noexcept {
    frame* each = &running;
    while (!each->has(flag_root)) each = each->parent;
    return *each;
}
inline frame& root_of(frame& running) noexcept {
    ready_item* const current = this_thread.running->current();
    return current != nullptr ? static_cast<frame&>(*current) : root_above(running);
}

/// The task in whose name a root runs: that of a branch is the one that armed it, null if that is gone.
inline frame* identity_of(frame* root) noexcept {
    while (root != nullptr && root->has(flag_branch)) {
        const child_owner* owner = root->get_owner();
        root = owner != nullptr ? owner->identity() : nullptr;
    }
    return root;
}

/// The task that runs on this thread, null outside of one.
inline frame* current_task_frame() noexcept {
    if (this_thread.running == nullptr || this_thread.running->current() == nullptr) return nullptr;
    return identity_of(&current_root());
}

inline bool is_current(const ready_item& task) noexcept {
    return this_thread.running != nullptr && this_thread.running->current() == &task;
}

} // namespace asynchio::detail

#pragma GCC visibility pop
