// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cleanup after a cancellation alone: what `except CancelledError: await …; raise` is in Python.

#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/task.hpp>

#include <exception>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Frees a cleanup that was given as a task and is not needed.
template<class C>
class needless_cleanup {
public:
    explicit needless_cleanup(std::remove_reference_t<C>& cleanup) noexcept : cleanup_(cleanup) {}
    needless_cleanup(const needless_cleanup&) = delete;
    needless_cleanup& operator=(const needless_cleanup&) = delete;
    ~needless_cleanup() {
        if constexpr (is_task<C>)
            if (auto* const left = cleanup_.release()) detail::discard_frame(*left);
    }

private:
    std::remove_reference_t<C>& cleanup_;
};

/// Throws nothing, so that a request to cancel which comes meanwhile hides nothing.
template<class C>
task<> clean_up(std::remove_reference_t<C>& cleanup, outcome<void>& cleaned) {
    using callable = std::remove_reference_t<C>;
    try {
        if constexpr (!std::is_invocable_v<callable&>) {
            static_assert(awaitable<C&&>, "the cleanup of on_cancel is an awaitable, or is called with nothing");
            co_await static_cast<C&&>(cleanup);
        } else if constexpr (awaitable<std::invoke_result_t<callable&>>) {
            co_await detail::invoke(cleanup);
        } else {
            detail::invoke(cleanup);
        }
        cleaned.emplace();
    } catch (...) {
        cleaned.set_error(std::current_exception(), false);
    }
}

/// The exception of a cleanup goes on instead of the request that came meanwhile, so that is delivered at the next
/// suspension.
inline void request_again(const cancelled_error& request) {
    const any_task_handle task = current_task();
    if (!task) return;
    if (task.cancelling() > 0) task.uncancel();
    task.cancel(request.message());
}

template<class B, class C>
task<body_result_t<B>> run_on_cancel(B body, C cleanup) {
    const needless_cleanup<C> unless_awaited(cleanup);
    outcome<body_result_t<B>> ended;
    task<body_result_t<B>> block = make_or_fail(ended, [&] { return run_body<B>(body); });
    if (block) co_await capture_into(ended, std::move(block));
    if (ended.cancelled()) {
        outcome<void> cleaned;
        try {
            co_await shield(clean_up<C>(cleanup, cleaned));
        } catch (const cancelled_error& request) {
            if (cleaned.error()) request_again(request);
        }
        cleaned.rethrow();
    }
    if constexpr (std::is_void_v<body_result_t<B>>)
        ended.rethrow();
    else
        co_return std::move(ended).value();
}

} // namespace detail

/// Runs `body` in the calling task, and when that ends cancelled, `cleanup`; then the cancellation goes on. It gives what the
/// body gives; any other end of the body leaves the cleanup alone.
///
/// @param body an awaitable, or what is called with nothing and returns one. @param cleanup the same, or a plain call. It runs
/// as a task of its own, so that timeouts and groups work in it.
/// @throws what the body throws; an exception of the cleanup replaces the cancellation.
/// Cancellation: cancels the body. The cleanup is shielded: a request that comes while it runs is delivered when it has ended,
/// with the first one, or at the next suspension if the cleanup fails. A cleanup that may hang needs a limit of its own, as
/// with wait_for.
/// Threads: the loop's.
/// Lifetime: an lvalue is referenced, a temporary or taken one kept until the end.
/// Cost: two frames from the pool, and one more for a cleanup that runs.
/// Example: `co_await aio::on_cancel(transfer(file), [&] { return remove_partial(file); });`
/// See also: finally, shield.
template<class B, class C>
auto on_cancel(B&& body, C&& cleanup) {
    detail::check_awaited_arguments<B, C>();
    return detail::run_on_cancel<detail::kept_t<B>, detail::kept_t<C>>(detail::keep<B>(body), detail::keep<C>(cleanup));
}

} // namespace asynchio

#pragma GCC visibility pop
