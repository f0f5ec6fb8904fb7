// SPDX-License-Identifier: BSL-1.0
#pragma once

// The concepts of what can stand behind co_await, how its awaiter is found, and what co_await of it returns. Built on
// the standard library's coroutine support alone.

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

/// An object with the functions that `co_await` calls: `await_ready()`, which a condition can test, and
/// `await_resume()`.
/// `await_suspend` is not checked, since it may be a template.
template<class T>
concept awaiter = requires(std::remove_reference_t<T>& x) {
    x.await_ready() ? 0 : 1;
    x.await_resume();
};

/// Anything that `co_await` accepts inside a coroutine of this library: a type with a member or free `operator
/// co_await`, or an awaiter.
template<class T>
concept awaitable = detail::has_member_co_await<T> || detail::has_free_co_await<T> || awaiter<T>;

/// Returns the awaiter of an awaitable, as `co_await x` would find it.
/// @param x the awaitable. @return what its `operator co_await` returns; an awaiter is its own, and returned by
/// reference.
template<awaitable T>
decltype(auto) get_awaiter(T&& x) {
    if constexpr (detail::has_member_co_await<T>)
        return static_cast<T&&>(x).operator co_await();
    else if constexpr (detail::has_free_co_await<T>)
        return operator co_await(static_cast<T&&>(x));
    else
        return static_cast<T&&>(x);
}

/// The type that get_awaiter() returns for a `T`.
template<awaitable T>
using awaiter_t = decltype(get_awaiter(std::declval<T>()));

/// The type that `co_await` of a `T` has: a value, a reference or void.
template<awaitable T>
using await_result_t = decltype(std::declval<std::remove_reference_t<awaiter_t<T>>&>().await_resume());

namespace detail {

/// The type in which a result is passed on: an rvalue reference, whose object may be gone by then, becomes an object.
template<class R>
using passed_result_t = std::conditional_t<std::is_rvalue_reference_v<R>, std::remove_cvref_t<R>, R>;

/// The type in which a container or an outcome keeps a result: `const T&` of a watched handle becomes a `T` of its own.
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
