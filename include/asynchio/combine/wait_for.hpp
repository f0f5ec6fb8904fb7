// SPDX-License-Identifier: BSL-1.0
#pragma once

// A deadline for one awaitable. Built on timeout.

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/task/child_set.hpp>
#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>

#include <chrono>
#include <coroutine>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Suspends for as many iterations as asyncio takes to cancel a task that has not begun.
template<class = void>
task<> cancelled_at_once() {
    const task_handle<> unstarted = create_task([]() -> task<> { co_return; });
    unstarted.cancel();
    co_await wait(unstarted);
}

/// Whether `waiting` is ready. One that is ready but may give way to others, as those of room net, does not: there is no
/// time to come back to it.
template<class Awaiter>
bool ready_at_once(Awaiter& waiting) {
    if constexpr (requires { waiting.await_ready(false); })
        return waiting.await_ready(false);
    else
        return waiting.await_ready();
}

/// Awaits a gather or shield, which is asked to end as soon as it is armed; the request is not the task's own.
template<class A>
class [[nodiscard]] asked_to_end {
public:
    explicit asked_to_end(A& awaiter) noexcept : awaiter_(awaiter) {}

    bool await_ready() { return awaiter_.await_ready(); }
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        if (!awaiter_.await_suspend(awaiting, where)) return false;
        frame& task = root_of(awaiting.promise().state());
        const bool pending = task.has(flag_must_cancel);
        const shared_text no_message;
        if (hook_of(task) != nullptr && !cancel_walk(no_message).interrupt(task, awaiter_) && !pending)
            task.clear(flag_must_cancel);
        suspended_ = true;
        return true;
    }
    decltype(auto) await_resume() { return awaiter_.await_resume(); }
    bool suspended() const noexcept { return suspended_; }

private:
    A& awaiter_;
    bool suspended_ = false;
};

/// No time at all: what is done already counts, what has started is cancelled, anything else never starts.
template<class B>
task<body_result_t<B>> wait_for_nothing(std::remove_reference_t<B>& body) {
    if constexpr (std::is_base_of_v<handle_base, std::remove_cvref_t<B>>) {
        if (!body.done()) {
            body.cancel();
            co_await wait(body);
            if (body.cancelled()) throw timeout_error();
        }
        co_return co_await static_cast<B&&>(body);
    } else if constexpr (!is_task<std::remove_cvref_t<B>> && !std::is_invocable_v<std::remove_reference_t<B>&>) {
        auto&& waiting = get_awaiter(static_cast<B&&>(body));
        using awaiter = std::remove_cvref_t<decltype(waiting)>;
        if constexpr (takes_nothing<awaiter>) {
            asked_to_end<awaiter> asked(waiting);
            auto ended = co_await nothrow(asked);
            if (asked.suspended()) {
                co_await yield(); // asyncio's wait for the end takes one iteration more
                if (ended.cancelled()) throw timeout_error();
            }
            co_return std::move(ended).value();
        } else {
            if (ready_at_once(waiting)) co_return waiting.await_resume();
            co_await cancelled_at_once();
            throw timeout_error();
        }
    } else {
        co_await cancelled_at_once();
        throw timeout_error();
    }
}

template<class B>
task<body_result_t<B>> run_wait_for(B body, std::optional<duration> limit) {
    if (limit && limit->count() <= 0) co_return co_await wait_for_nothing<B>(body);
    std::tuple<timeout> deadline{timeout(limit)};
    co_return co_await with_level<0, std::tuple<timeout>, B>(deadline, body);
}

} // namespace detail

/// Awaits `x` in the calling task, for at most `limit`; gives its result.
///
/// @param x a task, handle, future, other awaitable, or a callable without arguments that returns one.
/// @param limit a duration, nullopt for none; 0 or less: the result if it is there, else nothing starts.
/// When the time is up, `x` is cancelled and waited for, then timeout_error is thrown; if `x` ends with a value or
/// another exception after all, that counts.
/// Cancellation: cancels `x` and waits for it. A result that `x` has given is never lost for a handle.
/// Cost: a few frames from the pool and one timer.
/// See also: timeout, shield.
template<class X, class Rep, class Period>
auto wait_for(X&& x, std::chrono::duration<Rep, Period> limit) {
    detail::check_awaited_arguments<X>();
    return detail::run_wait_for<detail::kept_t<X>>(detail::keep<X>(x), duration(detail::to_nanoseconds(limit)));
}

template<class X>
auto wait_for(X&& x, std::nullopt_t) {
    detail::check_awaited_arguments<X>();
    return detail::run_wait_for<detail::kept_t<X>>(detail::keep<X>(x), std::nullopt);
}

template<class X, class Rep, class Period>
auto wait_for(X&& x, const std::optional<std::chrono::duration<Rep, Period>>& limit) {
    detail::check_awaited_arguments<X>();
    return detail::run_wait_for<detail::kept_t<X>>(
        detail::keep<X>(x), limit ? std::optional<duration>(detail::to_nanoseconds(*limit)) : std::nullopt);
}

} // namespace asynchio

#pragma GCC visibility pop
