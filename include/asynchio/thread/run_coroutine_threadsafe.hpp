// SPDX-License-Identifier: BSL-1.0
#pragma once

// Starting a task on a loop from another thread.

#include <asynchio/core/detail/access.hpp>
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

/// The loop's side of a future. If it is destroyed before the future is done, it cancels the future: the loop was
/// closed before the task had ended, or begun.
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

    /// Called when the task is done. The future alone has the task's exception when a thread learns of it, so that this
    /// thread does not destroy it: a race detector does not see the order that the exception's own count establishes.
    /// That is why the exception handler hears of a leftover task now, and not with the others when all have ended.
    void operator()(const task_handle<T>& handle) {
        shared_state& task = *access::state(handle);
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

/// Makes a task on another thread's loop.
///
/// @param x a task, another awaitable, or a callable without arguments, which is called on the loop.
/// @param loop the loop, as event_loop::ref() returns it.
/// @return a concurrent_future that threads can wait for.
/// @throws std::logic_error when the loop is closed.
/// Cancellation: cancelling the future cancels the task; a cancelled task makes the future cancelled.
/// Threads: any; the task sees the context variables of the thread or task that calls this. `x` is moved to the loop's
/// thread; if the loop closes first, the thread that closes it drops `x`.
/// Cost: three allocations, and a wake-up if the loop sleeps.
/// Example: `int n = aio::run_coroutine_threadsafe(count(), loop).get();`
/// See also: loop_ref, wrap_future, loop_group::submit.
template<class X>
auto run_coroutine_threadsafe(X&& x, const loop_ref& loop) {
    detail::check_awaited_arguments<X>();
    auto started = detail::as_task(std::forward<X>(x));
    using T = typename decltype(started)::value_type;
    detail::counted_ptr<detail::concurrent_state<T>> state(new detail::concurrent_state<T>(loop));
    loop.call_soon_threadsafe(
        [](task<T> coroutine, detail::settle_at_end<T> end) {
            detail::concurrent_state<T>& shared = end.state();
            if (shared.cancelled()) return; // cancelled before the task began
            task_handle<T> handle;
            try {
                handle = create_task(std::move(coroutine));
                shared.task_begins(handle);
                handle.add_done_callback(std::move(end));
            } catch (...) {
                if (handle) handle.cancel(); // the task never enters its body
                shared.settle([](outcome<T>& result) { result.set_error(std::current_exception(), false); });
                throw; // the loop's exception handler hears of it too
            }
        },
        std::move(started), detail::settle_at_end<T>(state));
    return detail::access::make<concurrent_future<T>>(std::move(state));
}

} // namespace asynchio

#pragma GCC visibility pop
