// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cleanup that awaits: what `try … finally` is in Python.

#include <asynchio/combine/with.hpp>
#include <asynchio/core/functional.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace asynchio {

namespace detail {

/// Runs `cleanup`: a plain call, a call that gives an awaitable, or an awaitable.
template<class C>
task<> clean_up(std::remove_reference_t<C>& cleanup) {
    if constexpr (std::is_invocable_v<std::remove_reference_t<C>&>) {
        if constexpr (awaitable<std::invoke_result_t<std::remove_reference_t<C>&>>)
            co_await detail::invoke(cleanup);
        else
            detail::invoke(cleanup);
        co_return;
    } else {
        static_assert(awaitable<C&&>, "the cleanup of finally is an awaitable, or is called with nothing");
        co_await static_cast<C&&>(cleanup);
    }
}

template<class B, class C>
task<body_result_t<B>> run_finally(B body, C cleanup) {
    auto ended = co_await capture(run_body<B>(body));
    co_await clean_up<C>(cleanup);
    if constexpr (std::is_void_v<body_result_t<B>>)
        ended.rethrow();
    else
        co_return std::move(ended).value();
}

} // namespace detail

/// Runs `body` in the calling task and then `cleanup`, on every path; gives what the body gives.
///
/// Both are an awaitable, or are called with nothing; the cleanup may be a plain call. An exception of the cleanup
/// replaces the body's. An lvalue is referenced, a temporary or taken one kept.
/// Cancellation: the cleanup runs, and may await; a second request interrupts it there.
/// Example: `co_await aio::finally(work(), [&]() -> aio::task<> { co_await connection.close(); });`
/// See also: with.
template<class B, class C>
auto finally(B&& body, C&& cleanup) {
    detail::check_awaited_arguments<B, C>();
    return detail::run_finally<detail::kept_t<B>, detail::kept_t<C>>(detail::keep<B>(body), detail::keep<C>(cleanup));
}

} // namespace asynchio
