// SPDX-License-Identifier: BSL-1.0
#pragma once

// A cleanup that may await, as `try … finally` in Python.

#include <asynchio/combine/with.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/task.hpp>

#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class B, class C>
task<body_result_t<B>> run_finally(parameter<B> body, parameter<C> given) {
    std::remove_reference_t<C>& cleanup = given;
    outcome<body_result_t<B>> ended;
    task<body_result_t<B>> block = make_or_fail(ended, [&] { return run_body<B>(body); });
    if (block) co_await capture_into(ended, std::move(block));
    using callable = std::remove_reference_t<C>;
    if constexpr (!std::is_invocable_v<callable&>) {
        static_assert(awaitable<C&&>, "the cleanup of finally is an awaitable, or is called with nothing");
        co_await static_cast<C&&>(cleanup);
    } else if constexpr (awaitable<std::invoke_result_t<callable&>>) {
        co_await detail::invoke(cleanup);
    } else {
        detail::invoke(cleanup);
    }
    if constexpr (std::is_void_v<body_result_t<B>>)
        ended.rethrow();
    else
        co_return std::move(ended).value();
}

} // namespace detail

/// Awaitable: runs a body in the calling task and then a cleanup, on every path.
///
/// @param body an awaitable, or a callable without arguments that returns one.
/// @param cleanup an awaitable, or a callable without arguments, which may be a plain function. An lvalue body or
/// cleanup is referenced, a temporary or taken one kept.
/// @return the result of the body.
/// @throws the exception of the cleanup, or else the body's.
/// Cancellation: the body is cancelled; then the cleanup runs, and may await. A second request interrupts it there.
/// Cost: frames from the pool.
/// Differs from Python: it is a function, since C++ cannot await in a destructor.
/// Example: `co_await aio::finally(work(), [&]() -> aio::task<> { co_await connection.close(); });`
/// See also: with.
template<class B, class C>
auto finally(B&& body, C&& cleanup) {
    detail::check_awaited_arguments<B, C>();
    return detail::run_finally<detail::kept_t<B>, detail::kept_t<C>>(detail::keep<B>(body), detail::keep<C>(cleanup));
}

} // namespace asynchio

#pragma GCC visibility pop
