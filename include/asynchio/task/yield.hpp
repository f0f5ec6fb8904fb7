// SPDX-License-Identifier: BSL-1.0
#pragma once

// Giving way to other tasks and calls that are ready.

#include <asynchio/task/suspension.hpp>

#include <coroutine>
#include <source_location>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

class [[nodiscard]] yield_awaiter {
public:
    static bool await_ready() noexcept { return false; }

    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        task_ = &requeue(coroutine, where);
    }

    void await_resume() const {
        if (task_->has(flag_must_cancel)) [[unlikely]]
            throw_cancelled(*task_);
    }

private:
    frame* task_ = nullptr;
};

} // namespace detail

/// Awaitable: lets everything that is ready run once before the caller goes on. It takes exactly one iteration.
///
/// Cancellation: delivered when the task runs again.
/// Threads: the thread of the loop.
/// Cost: a push to the ready queue; no timer, no allocation.
/// Differs from Python: it is `sleep(0)` there, which works here, too.
/// Example: `co_await aio::yield();`
inline detail::yield_awaiter yield() noexcept { return {}; }

} // namespace asynchio

#pragma GCC visibility pop
