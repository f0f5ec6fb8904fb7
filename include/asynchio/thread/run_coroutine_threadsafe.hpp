// SPDX-License-Identifier: BSL-1.0
#pragma once

// Starting a task on a loop from another thread.

#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/leftovers.hpp>
#include <asynchio/thread/concurrent_future.hpp>

#include <exception>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// The loop's side of a future. Destroyed with it still open, it cancels it: the loop was closed before the task came to
/// its end, or began.
template<class T>
class settle_at_end {
public:
    explicit settle_at_end(counted_ptr<concurrent_state<T>> state) noexcept : state_(std::move(state)) {}
    settle_at_end(settle_at_end&& other) noexcept = default;
    settle_at_end& operator=(settle_at_end&&) = delete;
    ~settle_at_end() {
        if (!state_) return;
        settle([](outcome<T>& result) { result.set_error(std::make_exception_ptr(cancelled_error()), true); });
    }

    concurrent_state<T>& state() const noexcept { return *state_; }

    /// The task is done. What it ended with is the future's alone when a thread hears of it: an exception's own count is
    /// no ordering that a race detector sees, so this thread shall not be the one that ends it. That is why the exception
    /// handler hears of a leftover task now, and not with the others when all have ended.
    void operator()(const task_handle<T>& handle) {
        shared_state& task = *handle.shared();
        const bool cancelled = task.outcome_base::cancelled();
        std::exception_ptr error = take_error(task);
        if (error && !cancelled && static_cast<frame&>(task).has_mark(mark_leftover)) report_leftover(task, error);
        settle([&](outcome<T>& result) {
            if (!error) {
                try {
                    if constexpr (std::is_void_v<T>)
                        result.emplace();
                    else
                        result.emplace(take_result<T, true>(task));
                    return;
                } catch (...) {
                    error = std::current_exception();
                }
            }
            result.set_error(error, cancelled);
            error = nullptr; // not moved: libc++ copies
        });
    }

private:
    template<class Set>
    void settle(Set set) noexcept {
        const counted_ptr<concurrent_state<T>> state = std::move(state_);
        state->task_ended();
        state->settle(set);
    }

    counted_ptr<concurrent_state<T>> state_;
};

} // namespace detail

/// Makes a task of `x` on the loop behind `loop` and gives a future that other threads can wait for.
///
/// `x` is a task, another awaitable, or a callable without arguments, which is called on the loop.
/// @throws std::logic_error when the loop is closed.
/// Cancellation: of the future cancels the task; a cancelled task makes the future cancelled.
/// Threads: any; the task sees the context variables of the thread or task that calls this. What is given is moved to the
/// loop's thread, and dropped by whoever closes the loop if that is first.
/// Cost: three allocations and a wake-up if the loop sleeps.
template<class X>
auto run_coroutine_threadsafe(X&& x, const loop_ref& loop) {
    detail::check_awaited_arguments<X>();
    auto started = detail::as_task(std::forward<X>(x));
    using T = typename decltype(started)::value_type;
    detail::counted_ptr<detail::concurrent_state<T>> state(new detail::concurrent_state<T>(loop));
    loop.call_soon_threadsafe(
        [](task<T> coroutine, detail::settle_at_end<T> end) {
            detail::concurrent_state<T>& shared = end.state();
            if (shared.cancelled()) return; // before it began
            task_handle<T> handle;
            try {
                handle = create_task(std::move(coroutine));
                shared.task_begins(handle);
                handle.add_done_callback(std::move(end));
            } catch (...) {
                if (handle) handle.cancel(); // it never enters its body
                shared.settle([](outcome<T>& result) { result.set_error(std::current_exception(), false); });
                throw; // the loop's exception handler hears of it too
            }
        },
        std::move(started), detail::settle_at_end<T>(state));
    return concurrent_future<T>(std::move(state));
}

} // namespace asynchio

#pragma GCC visibility pop
