// SPDX-License-Identifier: BSL-1.0
#pragma once

// Awaiting without exceptions: the outcome as a value.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/take.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Returns how many requests to cancel the running task has met so far, without one that is still to be delivered.
inline int delivered_cancels() noexcept {
    const frame* task = current_task_frame();
    return task == nullptr ? 0 : task->cancels - (task->has(flag_must_cancel) ? 1 : 0);
}

/// Awaits `A` and makes an outcome of whatever comes; with `CatchAll` also of a cancellation of the calling task.
template<class A, bool CatchAll>
class [[nodiscard]] outcome_awaiter {
    using result = typename kept_result<await_result_t<A>>::type;

public:
    explicit outcome_awaiter(A&& awaited)
        : awaitable_(std::forward<A>(awaited)), awaiter_(get_awaiter(std::forward<A>(awaitable_))) {}
    outcome_awaiter(const outcome_awaiter&) = delete;
    outcome_awaiter& operator=(const outcome_awaiter&) = delete;
    ~outcome_awaiter() = default;

    bool await_ready() {
        before_ = delivered_cancels();
        return awaiter_.await_ready();
    }

    template<class Promise>
    auto await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        if constexpr (requires { awaiter_.await_suspend(coroutine, where); })
            return awaiter_.await_suspend(coroutine, where);
        else
            return awaiter_.await_suspend(coroutine);
    }

    outcome<result> await_resume() {
        outcome<result> out;
        fill(out);
        return out;
    }

protected:
    /// Fills in the outcome. An exception of copying the result counts as thrown by what was awaited.
    void fill(outcome<result>& out) {
        try {
            if constexpr (std::is_void_v<result>) {
                awaiter_.await_resume();
                out.emplace();
            } else {
                out.emplace(awaiter_.await_resume());
            }
        } catch (const cancelled_error&) {
            if constexpr (!CatchAll)
                if (const frame* task = current_task_frame(); task != nullptr && task->cancels > before_) throw;
            out.set_error(std::current_exception(), true);
        } catch (...) {
            out.set_error(std::current_exception(), false);
        }
    }

private:
    A awaitable_;
    awaiter_t<A> awaiter_;
    int before_ = 0;
};

template<class A>
outcome_awaiter<A, true> capture(A&& awaitable) {
    return outcome_awaiter<A, true>(std::forward<A>(awaitable));
}

/// Awaits `A` and fills an outcome that exists already, so that nothing that can throw comes after it.
template<class A, class T>
class [[nodiscard]] capture_awaiter final : public outcome_awaiter<A, true> {
public:
    capture_awaiter(outcome<T>& out, A&& awaited) : outcome_awaiter<A, true>(std::forward<A>(awaited)), out_(out) {}
    void await_resume() { this->fill(out_); }

private:
    outcome<T>& out_;
};

template<class A, class T>
capture_awaiter<A, T> capture_into(outcome<T>& out, A&& awaitable) {
    return capture_awaiter<A, T>(out, std::forward<A>(awaitable));
}

/// An awaiter that returns the cancellation that has ended its wait, or null, instead of throwing it: what follows may
/// await as well, which a catch block cannot.
template<class Wait>
class [[nodiscard]] cancellation_of final : public Wait {
public:
    explicit cancellation_of(Wait wait) noexcept : Wait(std::move(wait)) {}

    std::exception_ptr await_resume() {
        try {
            Wait::await_resume();
        } catch (const cancelled_error&) {
            return std::current_exception();
        }
        return nullptr;
    }
};

} // namespace detail

/// Awaitable: awaits `x` without throwing its exceptions.
///
/// @param x an awaitable; an lvalue is referenced, a temporary kept.
/// @return an outcome: the value or the exception of `x`, or that `x` was cancelled.
/// Cancellation: a request to cancel the calling task is never swallowed: it throws cancelled_error as ever.
/// Threads: the thread of the loop.
/// Cost: no allocation; an exception of `x` is still thrown and caught inside.
/// Example: `auto r = co_await nothrow(fetch(url)); if (!r) log(r.error());`
template<awaitable A>
detail::outcome_awaiter<A, false> nothrow(A&& x) {
    detail::check_awaited_arguments<A>();
    return detail::outcome_awaiter<A, false>(std::forward<A>(x));
}

} // namespace asynchio

#pragma GCC visibility pop
