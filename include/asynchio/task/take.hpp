// SPDX-License-Identifier: BSL-1.0
#pragma once

// Moving a named object into what is awaited on the spot.

#include <type_traits>
#include <utility>

namespace asynchio {

/// What take() gives: its value goes where it is passed.
template<class T>
class taken {
public:
    explicit taken(T&& value) noexcept(std::is_nothrow_move_constructible_v<T>) : value_(std::move(value)) {}
    T release() && { return std::move(value_); }

private:
    T value_;
};

/// Moves `named` into a combinator that would reference an lvalue: `with(resource, take(body))`.
///
/// g++ before 13 destroys a lambda with captures twice if it is written inside a co_await expression; named first and
/// passed through take it is safe there. See the pitfalls in the README.
template<class T>
    requires(!std::is_const_v<T>)
taken<T> take(T& named) noexcept(std::is_nothrow_move_constructible_v<T>) {
    return taken<T>(std::move(named));
}

namespace detail {

/// How a combinator keeps what it is given: an lvalue by reference, a taken or temporary one by value.
template<class T>
struct kept {
    using type = std::conditional_t<std::is_lvalue_reference_v<T>, T, std::remove_cvref_t<T>>;
    static T&& get(T& from) noexcept { return static_cast<T&&>(from); }
};
template<class T>
struct kept<taken<T>> {
    using type = T;
    static T get(taken<T>& from) { return std::move(from).release(); }
};
template<class T>
using kept_t = typename kept<T>::type;

} // namespace detail

} // namespace asynchio
