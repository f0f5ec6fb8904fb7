// SPDX-License-Identifier: BSL-1.0
#pragma once

// Making a task of anything that can be started: a task, an awaitable, or a callable with arguments.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>

#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class T>
inline constexpr bool is_task = false;
template<class T>
inline constexpr bool is_task<task<T>> = true;

template<class F, class... Args>
concept starts_with = std::is_invocable_v<F, Args...> && awaitable<std::invoke_result_t<F, Args...>>;

template<class F, class... Args>
using started_result_t = passed_result_t<await_result_t<std::invoke_result_t<F, Args...>>>;

/// Keeps callable and arguments in its frame until the awaitable that they return has ended.
template<class F, class... Args>
task<started_result_t<F, Args...>> invoke_kept(parameter<F> f, parameter<Args>... args) {
    co_return co_await detail::invoke(static_cast<F&&>(f), static_cast<Args&&>(args)...);
}

/// Awaits what it keeps. `A` is a reference if the awaitable was passed as an lvalue: the result of a handle is copied
/// then, else moved.
template<class A>
task<typename kept_result<await_result_t<A>>::type> await_kept(parameter<std::remove_reference_t<A>> awaitable) {
    co_return co_await static_cast<A&&>(awaitable);
}

/// Makes a task of the arguments that co_invoke, create_task and the combinators accept.
template<class X, class... Args>
decltype(auto) as_task(X&& x, Args&&... args) {
    using kept = std::decay_t<X>;
    if constexpr (is_taken<X> || (is_taken<Args> || ...)) {
        return as_task(pass_on<X>(x), pass_on<Args>(args)...);
    } else if constexpr (is_task<kept> && sizeof...(Args) == 0) {
        static_assert(!std::is_lvalue_reference_v<X>,
                      "a task is given up to who runs it: write std::move(t), or make a handle with create_task");
        return std::forward<X>(x);
    } else if constexpr (std::is_invocable_v<kept, std::decay_t<Args>...>) {
        static_assert(starts_with<kept, std::decay_t<Args>...>,
                      "the callable must return a task or another awaitable; for a plain blocking call use to_thread");
        return detail::invoke_kept<kept, std::decay_t<Args>...>(std::forward<X>(x), std::forward<Args>(args)...);
    } else {
        static_assert(sizeof...(Args) == 0, "the callable cannot be called with these arguments (they are copied, and "
                                            "passed as rvalues; std::ref passes a reference)");
        static_assert(awaitable<kept>, "this takes a task, another awaitable, or a callable that returns one");
        static_assert(std::is_constructible_v<kept, X>,
                      "the task keeps the awaitable, which cannot be copied: write std::move(x)");
        if constexpr (std::is_lvalue_reference_v<X> && awaitable<kept&>)
            return detail::await_kept<kept&>(x);
        else
            return detail::await_kept<kept>(std::forward<X>(x));
    }
}

} // namespace detail

/// Makes a task that calls `f(args...)` when it is awaited, and awaits what that returns. Callable and arguments live
/// until the task has ended, so a coroutine lambda with captures is safe.
///
/// @param f a callable that returns an awaitable. @param args its arguments. Both are copied in, or moved in by take(),
/// and passed as rvalues.
/// @return the task. @throws the exceptions of copying.
/// Cancellation: a request reaches whatever the awaitable of `f` waits for.
/// Lifetime: callable and arguments are destroyed when the task ends.
/// Cost: one frame beside that of `f`.
/// Differs from Python: it is needed because a C++ lambda does not keep its captures for its coroutine.
/// Example: `auto use = [x]() -> task<int> { co_return co_await send(x); }; task<int> later = co_invoke(take(use));`
template<class F, class... Args>
auto co_invoke(F&& f, Args&&... args) {
    detail::check_awaited_arguments<F, Args...>();
    return detail::as_task(std::forward<F>(f), std::forward<Args>(args)...);
}

} // namespace asynchio

#pragma GCC visibility pop
