// SPDX-License-Identifier: BSL-1.0
#pragma once

// Starting a task on a loop from another thread.

#include <asynchio/task/create_task.hpp>
#include <asynchio/thread/concurrent_future.hpp>

#include <exception>
#include <memory>
#include <utility>

namespace asynchio {

namespace detail {

/// Ends the future when it is destroyed: the loop was closed before the task came to its end, or began.
template<class T>
struct settle_at_end {
    explicit settle_at_end(std::shared_ptr<concurrent_state<T>> s) noexcept : state(std::move(s)) {}
    settle_at_end(settle_at_end&& other) noexcept = default;
    settle_at_end& operator=(settle_at_end&&) = delete;
    ~settle_at_end() {
        if (state == nullptr) return;
        state->cancel_on_loop = nullptr;
        state->settle([](outcome<T>& result) { result.set_error(std::make_exception_ptr(cancelled_error()), true); });
    }

    /// The task is done.
    void operator()(task_handle<T> handle) {
        state->settle([&](outcome<T>& result) {
            try {
                if constexpr (std::is_void_v<T>) {
                    handle.result();
                    result.emplace();
                } else {
                    result.emplace(take_result<T, true>(*handle.completion()));
                }
            } catch (const cancelled_error&) {
                result.set_error(std::current_exception(), true);
            } catch (...) {
                result.set_error(std::current_exception(), false);
            }
        });
    }

    std::shared_ptr<concurrent_state<T>> state;
};

} // namespace detail

/// Makes a task of `x` on the loop behind `loop` and gives a future that other threads can wait for.
///
/// `x` is a task, another awaitable, or a callable without arguments, which is called on the loop.
/// @throws std::logic_error when the loop is closed.
/// Cancellation: of the future cancels the task; a cancelled task makes the future cancelled.
/// Threads: any; the task sees the context variables of the thread or task that calls this. What is given is moved to the loop's thread, and dropped by whoever closes the loop if that is first.
/// Cost: three allocations and a wake-up if the loop sleeps.
template<class X>
auto run_coroutine_threadsafe(X&& x, const loop_ref& loop) {
    auto started = detail::as_task(std::forward<X>(x));
    using T = typename decltype(started)::value_type;
    auto state = std::make_shared<detail::concurrent_state<T>>(loop);
    loop.call_soon_threadsafe(
        [](task<T> coroutine, detail::settle_at_end<T> end) {
            if (end.state->cancelled()) return; // before it began
            auto* const shared = end.state.get();
            try {
                const task_handle<T> handle = create_task(std::move(coroutine));
                shared->cancel_on_loop = [handle] { handle.cancel(); };
                handle.add_done_callback(std::move(end));
            } catch (...) {
                shared->settle([](outcome<T>& result) { result.set_error(std::current_exception(), false); });
                throw; // the loop's exception handler hears of it too
            }
        },
        std::move(started), detail::settle_at_end<T>(state));
    return concurrent_future<T>(std::move(state));
}

} // namespace asynchio
