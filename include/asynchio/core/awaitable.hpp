// SPDX-License-Identifier: BSL-1.0
#pragma once

// What can stand behind co_await, how its awaiter is found, and what it gives.
// Built on the standard library's coroutine support alone.

#include <coroutine>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class T>
concept has_member_co_await = requires(T&& x) { static_cast<T&&>(x).operator co_await(); };

template<class T>
concept has_free_co_await = requires(T&& x) { operator co_await(static_cast<T&&>(x)); };

} // namespace detail

/// The three functions that `co_await` calls; `await_suspend` is left out, since it may be a template.
template<class T>
concept awaiter = requires(std::remove_reference_t<T>& x) {
    x.await_ready() ? 0 : 1;
    x.await_resume();
};

/// Anything that `co_await` accepts inside a coroutine of this library.
template<class T>
concept awaitable = detail::has_member_co_await<T> || detail::has_free_co_await<T> || awaiter<T>;

/// The awaiter of `x`, as `co_await x` would find it: an awaiter is its own, and is given back by reference.
template<awaitable T>
decltype(auto) get_awaiter(T&& x) {
    if constexpr (detail::has_member_co_await<T>)
        return static_cast<T&&>(x).operator co_await();
    else if constexpr (detail::has_free_co_await<T>)
        return operator co_await(static_cast<T&&>(x));
    else
        return static_cast<T&&>(x);
}

template<awaitable T>
using awaiter_t = decltype(get_awaiter(std::declval<T>()));

/// What `co_await` of a `T` gives: a value, a reference or void.
template<awaitable T>
using await_result_t = decltype(std::declval<std::remove_reference_t<awaiter_t<T>>&>().await_resume());

namespace detail {

/// What is passed on of a result: an rvalue reference, whose object may be gone by then, becomes an object.
template<class R>
using passed_result_t = std::conditional_t<std::is_rvalue_reference_v<R>, std::remove_cvref_t<R>, R>;

/// What a container or an outcome keeps of a result: `const T&` of a watched handle becomes a `T` of its own.
template<class T>
struct kept_result {
    using type = std::remove_cv_t<T>;
};
template<class T>
struct kept_result<const T&> {
    using type = T;
};
template<class T>
struct kept_result<T&&> {
    using type = std::remove_cv_t<T>;
};

template<class T>
inline constexpr bool always_false = false;

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
