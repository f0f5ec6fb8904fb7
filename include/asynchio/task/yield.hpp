// SPDX-License-Identifier: BSL-1.0
#pragma once

// Giving way to what else is ready.

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

/// Lets everything that is ready run once before the caller goes on: `sleep(0)`. Takes exactly one iteration.
///
/// Cancellation: delivered when the task runs again. Cost: a push to the ready queue; no timer, no allocation.
inline detail::yield_awaiter yield() noexcept { return {}; }

} // namespace asynchio

#pragma GCC visibility pop
