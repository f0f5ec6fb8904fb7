// SPDX-License-Identifier: BSL-1.0
#pragma once

// Keeping a request to cancel away from an awaitable. Built on child_set.

#include <asynchio/task/detail/child_set.hpp>

#include <coroutine>
#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class Child>
class [[nodiscard("shield does nothing until it is awaited")]] shield_awaiter final : public child_set, private fork {
public:
    static constexpr bool takes_nothing = !Child::owned;

    explicit shield_awaiter(Child child) : child_(std::move(child)) {}
    shield_awaiter(shield_awaiter&& other) noexcept : child_set(std::move(other)), child_(std::move(other.child_)) {}
    shield_awaiter& operator=(shield_awaiter&&) = delete;
    ~shield_awaiter() override = default;

    bool await_ready() const {
        if (child_.empty()) throw std::logic_error("shield: the argument is empty, moved from or awaited before");
        if constexpr (!Child::owned) require_own_loop(*child_.get(), "shield");
        return child_.done_before_start();
    }

    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        begin(awaiting, where);
        starting_ = true;
        {
            starting_children alone(*this);
            child_.start(alone);
        }
        starting_ = false;
        if (ended_) return false;
        park(awaiting, where);
        return true;
    }

    decltype(auto) await_resume() {
        child_.stop_watching();
        if (!Child::owned && ended_ && child_.get()->outcome_base::cancelled() && interrupted() &&
            !task()->has(flag_left))
            deliver_with_result();
        resumed();
        if constexpr (Child::owned)
            if (cancelled_) throw cancelled_error(std::move(message_));
        return child_.take();
    }

    void child_done(shared_state& child) noexcept override { watched_done(child); }
    void watched_done(shared_state& child) noexcept override {
        ended_ = true;
        if (starting_) return;
        decide_after(child);
    }

    fork* forks() noexcept override { return this; }
    bool stop() noexcept override {
        if constexpr (Child::owned) cancelled_ = true;
        return !Child::owned;
    }
    const char* waiting_for() const noexcept override { return "shield"; }
    shared_state* awaited_state() const noexcept override { return child_.get(); }

private:
    shared_state* next_asked(bool) noexcept override { return nullptr; }
    /// Leaves a watched child, which runs on. An owned child ends first, and the request is delivered then.
    cancel_reply all_asked(const shared_text& message, bool) noexcept override {
        if constexpr (Child::owned) {
            if (ended_) return cancel_reply::refused;
            cancelled_ = true;
            message_ = message;
            return cancel_reply::forwarded;
        } else {
            child_.stop_watching();
            return cancel_reply::left;
        }
    }

    void decide() noexcept override {
        if (parked()) go_on();
    }
    Child child_;
    shared_text message_;
    bool starting_ = false;
    bool ended_ = false;
    bool cancelled_ = false;
};

} // namespace detail

/// Awaitable: awaits `x` without passing on a request to cancel.
///
/// @param x a handle or future; or a task, a callable or another awaitable, which the shield owns.
/// @return the result of `x`. @throws the exception of `x`.
/// Cancellation: if `x` is a handle or future, the awaiting task is cancelled at once, and what is behind the handle
/// runs on; a program that holds the handle can await it again. If the shield owns `x`, the cancellation is delivered
/// when `x` has ended, and its result is dropped. Cancelling `x` itself cancels the awaiting task's wait, too.
/// Threads: the thread of the loop. Lifetime: it is awaited once.
/// Cost: nothing beyond the frame of an owned child.
/// Differs from Python: a task that is passed as such never outlives the call.
/// Example: `co_await aio::shield(save());`
/// See also: wait_for.
template<class X>
auto shield(X&& x) {
    detail::check_awaited_arguments<X>();
    return detail::shield_awaiter<detail::child_t<X>>(detail::make_child(std::forward<X>(x)));
}

} // namespace asynchio

#pragma GCC visibility pop
