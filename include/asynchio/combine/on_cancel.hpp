// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cleanup after a cancellation alone: what `except CancelledError: await …; raise` is in Python.

#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/steady.hpp>
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

/// Destroys a cleanup that is a task and was not awaited.
template<class C>
class needless_cleanup {
public:
    explicit needless_cleanup(std::remove_reference_t<C>& cleanup) noexcept : cleanup_(cleanup) {}
    needless_cleanup(const needless_cleanup&) = delete;
    needless_cleanup& operator=(const needless_cleanup&) = delete;
    ~needless_cleanup() {
        if constexpr (is_task<C>)
            if (auto* const left = detail::access::release(cleanup_)) detail::discard_frame(*left);
    }

private:
    std::remove_reference_t<C>& cleanup_;
};

/// Runs a cleanup and keeps its exception, so that a request to cancel that comes meanwhile does not hide it.
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

/// Makes a request to cancel once more. The exception of a cleanup goes on in its place; the request is delivered at the
/// next suspension.
inline void request_again(const cancelled_error& request) {
    const any_task_handle task = current_task();
    if (!task) return;
    if (task.cancelling() > 0) task.uncancel();
    task.cancel(request.message());
}

template<class B, class C>
task<body_result_t<B>> run_on_cancel(parameter<B> body, parameter<C> cleanup) {
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

/// Awaitable: runs a body in the calling task and, if the body ends cancelled, a cleanup; then the cancellation goes on.
/// After any other end of the body the cleanup does not run.
///
/// @param body an awaitable, or a callable without arguments that returns one.
/// @param cleanup an awaitable, or a callable without arguments, which may be a plain function. An awaitable one runs as a
/// task of its own, so that timeouts and groups work in it.
/// @return the result of the body.
/// @throws the body's exception; an exception of the cleanup replaces the cancellation.
/// Cancellation: cancels the body. The cleanup is shielded: a request that comes while it runs is delivered when it has ended,
/// with the first one, or at the next suspension if the cleanup fails. A cleanup that may hang needs a limit of its own, as
/// with wait_for.
/// Threads: the thread of the loop.
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
