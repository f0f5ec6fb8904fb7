// SPDX-License-Identifier: BSL-1.0
#pragma once

// The door in the public classes for the library itself.

#pragma GCC visibility push(default)

namespace asynchio::detail {

struct ready_item;

/// The friend of public classes, through which the library makes them of what it has, and reaches what they stand for.
/// Users see neither the constructors nor the members that it uses.
struct access {
    /// Makes an `X` of what the library has.
    template<class X, class... From>
    static X make(From&&... from) {
        return X(static_cast<From&&>(from)...);
    }
    /// Returns the pointer to the state of a handle or task; it is null for an empty one.
    template<class X>
    static auto& state(X&& x) noexcept {
        return x.state_;
    }
    /// Takes the coroutine's state out of a task; the caller owns it then.
    template<class Task>
    static auto* release(Task&& task) noexcept {
        auto* const state = task.state_;
        task.state_ = nullptr;
        return state;
    }
    /// Returns the cell of a context.
    template<class Context>
    static auto& cell(const Context& context) noexcept {
        return context.cell_;
    }
    /// Returns the core that the owner of a pool shares with its threads.
    template<class Pool>
    static auto& core(const Pool& pool) noexcept {
        return pool.core_;
    }
    /// Posts an item to the loop of a loop_ref. @return false when the loop is closed; the item remains the caller's.
    template<class Ref>
    static bool post(const Ref& loop, ready_item& item) noexcept {
        return loop.mailbox_ && loop.mailbox_->post(item);
    }
    /// Returns what a suspension waits for, if that is a task or future.
    template<class Suspension>
    static auto* awaited(const Suspension& wait) noexcept {
        return wait.awaited_state();
    }
    template<class Suspension, class Place>
    static auto* next_awaited(Suspension& wait, Place& place) noexcept {
        return wait.next_awaited(place);
    }
    template<class Suspension>
    static bool forwards(const Suspension& wait) noexcept {
        return wait.forwards();
    }
    template<class Suspension>
    static auto* forks(Suspension& wait) noexcept {
        return wait.forks();
    }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
