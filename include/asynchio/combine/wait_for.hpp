// SPDX-License-Identifier: BSL-1.0
#pragma once

// A deadline for one awaitable. Built on timeout.

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/child_set.hpp>
#include <asynchio/task/nothrow.hpp>

#include <chrono>
#include <coroutine>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A task that never begins; a template, so that a file that does not use it does not compile it.
template<class = void>
task<> never_begun() {
    co_return;
}

/// Suspends for as many iterations as asyncio takes to cancel a task that has not begun.
class [[nodiscard]] cancelled_at_once final : public suspension, private loop_call<cancelled_at_once>, private watcher {
public:
    cancelled_at_once() noexcept : watcher(&fire) {}
    [[gnu::noinline]] ~cancelled_at_once() override { stop(); }

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        start(where);
        park(awaiting, where);
    }
    void await_resume() { resumed(); }

    const char* waiting_for() const noexcept override { return "wait_for"; }
    cancel_reply cancel(const shared_text&) noexcept override {
        stop();
        return cancel_reply::left;
    }

private:
    friend loop_call;
    [[gnu::noinline, gnu::cold]] void start(const std::source_location& where) {
        bind(running_core());
        unstarted_ = make_task_with(loop(), access::release(never_begun()), {}, nullptr, false, where);
        unstarted_.cancel();
        access::state(unstarted_)->watch(*this);
    }
    static void fire(watcher& self, shared_state&) noexcept { static_cast<cancelled_at_once&>(self).call_soon(); }
    void called() noexcept {
        if (parked()) wake();
    }
    void stop() noexcept {
        if (watching()) access::state(unstarted_)->unwatch(*this);
    }

    task_handle<> unstarted_;
};

/// Whether `waiting` is ready. An awaiter that may give way to other tasks although it is ready, as those of module io,
/// does not: there is no time to come back to it.
template<class Awaiter>
bool ready_at_once(Awaiter& waiting) {
    if constexpr (requires { waiting.await_ready(false); })
        return waiting.await_ready(false);
    else
        return waiting.await_ready();
}

/// Arms a gather or shield, asks it to end and waits until it has ended. The wait is not part of it, so that a request
/// to cancel the awaiting task ends the wait in the next iteration: behind the turns of what was armed, which owns
/// nothing that runs afterwards.
template<class A>
class [[nodiscard]] asked_to_end final : public child_set {
public:
    explicit asked_to_end(A& awaiter) : child_(make_child(awaiter)) {}
    ~asked_to_end() override = default;

    static constexpr bool await_ready() noexcept { return false; }
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        begin(awaiting, where);
        collecting_ = true;
        {
            starting_children alone(*this);
            child_.start(alone);
        }
        if (!child_.get()->done()) {
            suspended_ = true;
            cancel_completion(*child_.get(), shared_text());
        }
        collecting_ = false;
        if (!suspended_) return false;
        park(awaiting, where);
        return true;
    }
    decltype(auto) await_resume() {
        resumed();
        if (cancelled_) throw cancelled_error(std::move(message_));
        return child_.take();
    }
    bool suspended() const noexcept { return suspended_; }

    void child_done(shared_state& child) noexcept override {
        if (collecting_) return;
        if (cancelled_)
            call_soon();
        else
            decide_after(child);
    }
    void watched_done(shared_state&) noexcept override {}
    const char* waiting_for() const noexcept override { return "wait_for"; }
    shared_state* awaited_state() const noexcept override { return child_.get(); }
    cancel_reply cancel(const shared_text& message) noexcept override {
        leave();
        if (child_.get()->done()) return cancel_reply::left;
        if (!detail::exchange(cancelled_, true)) message_ = message;
        call_soon();
        return cancel_reply::forwarded;
    }

private:
    void decide() noexcept override {
        if (!parked()) return;
        if (!cancelled_) return wake();
        leave();
        if (child_.get()->done()) run_now();
    }
    /// Ends the branch at once, unless something runs that it has started.
    void leave() noexcept {
        frame& branch = *child_.coroutine();
        if (branch.done()) return;
        collecting_ = true;
        if (!leave_branch(branch)) {
            branch.loop->unschedule(branch); // a shield, which was told to end
            destroy_branch(branch);
        }
        collecting_ = false;
    }

    branch_of<A&> child_;
    shared_text message_;
    bool collecting_ = false; // ends are only recorded, and the code that has set this decides
    bool suspended_ = false;
    bool cancelled_ = false;
};

/// The case of no time at all: what is done already counts, and what has started is cancelled. A `B` that never begins
/// is handled elsewhere.
template<class B>
task<body_result_t<B>> wait_for_nothing(std::remove_reference_t<B>& body) {
    if constexpr (std::is_base_of_v<handle_base, std::remove_cvref_t<B>>) {
        if (!body.done()) {
            body.cancel();
            co_await wait(body);
            if (body.cancelled()) throw timeout_error();
        }
        co_return co_await static_cast<B&&>(body);
    } else {
        auto&& waiting = get_awaiter(static_cast<B&&>(body));
        using awaiter = std::remove_cvref_t<decltype(waiting)>;
        if constexpr (takes_nothing<awaiter>) {
            asked_to_end<awaiter> asked(waiting);
            auto ended = co_await nothrow(asked);
            if (asked.suspended() && ended.cancelled()) throw timeout_error();
            co_return std::move(ended).value();
        } else {
            if (ready_at_once(waiting)) co_return waiting.await_resume();
            co_await cancelled_at_once();
            throw timeout_error();
        }
    }
}

/// Whether a `B` has not begun, and does not begin if there is no time for it.
template<class B>
inline constexpr bool never_begins =
    is_task<std::remove_cvref_t<B>> ||
    (!std::is_base_of_v<handle_base, std::remove_cvref_t<B>> && std::is_invocable_v<std::remove_reference_t<B>&>);

/// Does what with(timeout(limit), body) does, in one frame: otherwise every call would compile two more.
template<class B>
task<body_result_t<B>> run_wait_for(parameter<B> body, std::optional<duration> limit) {
    if (limit && limit->count() <= 0) {
        if constexpr (never_begins<B>) {
            co_await cancelled_at_once();
            throw timeout_error();
        } else {
            co_return co_await wait_for_nothing<B>(body);
        }
    }
    timeout deadline(limit);
    deadline.async_enter();
    outcome<body_result_t<B>> ended;
    if constexpr (is_task<B>) {
        co_await capture_into(ended, std::move(body));
    } else {
        task<body_result_t<B>> block = make_or_fail(ended, [&body] { return run_body<B>(body); });
        if (block) co_await capture_into(ended, std::move(block));
    }
    deadline.async_exit(ended.error());
    if constexpr (std::is_void_v<body_result_t<B>>)
        ended.rethrow();
    else
        co_return std::move(ended).value();
}

} // namespace detail

/// Awaitable: awaits `x` in the calling task until the time is up.
///
/// Behaviour: when the time is up, `x` is cancelled and waited for, then timeout_error is thrown; if `x` ends with a
/// value or another exception after all, that counts.
///
/// @param x a task, handle, future, other awaitable, or a callable without arguments that returns one.
/// @param limit the maximum duration; with 0 or less, the result counts if it is there, else nothing starts.
/// @return the result of `x`.
/// @throws timeout_error when the time is up; the exception of `x`.
/// Cancellation: `x` is cancelled and waited for. The result of a handle is never lost.
/// Threads: the thread of the loop.
/// Cost: a few frames from the pool and one timer.
/// Example: `std::string line = co_await aio::wait_for(s.read_line(), 5s);`
/// See also: timeout, shield.
template<class X, class Rep, class Period>
auto wait_for(X&& x, std::chrono::duration<Rep, Period> limit) {
    detail::check_awaited_arguments<X>();
    return detail::run_wait_for<detail::kept_t<X>>(detail::keep<X>(x), duration(detail::to_nanoseconds(limit)));
}

/// Awaitable: awaits `x` in the calling task without a limit.
/// @param x as above. @return the result of `x`. @throws the exception of `x`.
/// Cancellation: `x` is cancelled and waited for.
template<class X>
auto wait_for(X&& x, std::nullopt_t) {
    detail::check_awaited_arguments<X>();
    return detail::run_wait_for<detail::kept_t<X>>(detail::keep<X>(x), std::nullopt);
}

/// Awaitable: awaits `x` in the calling task until the time is up, if there is a limit.
/// @param x as above. @param limit the maximum duration, or nullopt for none. @return the result of `x`.
/// @throws timeout_error when the time is up; the exception of `x`.
/// Cancellation: `x` is cancelled and waited for.
template<class X, class Rep, class Period>
auto wait_for(X&& x, const std::optional<std::chrono::duration<Rep, Period>>& limit) {
    detail::check_awaited_arguments<X>();
    return detail::run_wait_for<detail::kept_t<X>>(
        detail::keep<X>(x), limit ? std::optional<duration>(detail::to_nanoseconds(*limit)) : std::nullopt);
}

} // namespace asynchio

#pragma GCC visibility pop
