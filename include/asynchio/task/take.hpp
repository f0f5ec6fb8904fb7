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
taken<std::remove_const_t<T>> take(T& named) noexcept(std::is_nothrow_move_constructible_v<T>) {
    static_assert(!std::is_const_v<T>, "take moves from what it is given, which must not be const");
    return taken<std::remove_const_t<T>>(static_cast<std::remove_const_t<T>&&>(named));
}

namespace detail {

template<class T>
inline constexpr bool is_taken = false;
template<class T>
inline constexpr bool is_taken<taken<T>> = true;

template<class T>
struct kept {
    using type = std::conditional_t<std::is_lvalue_reference_v<T>, T, std::remove_cvref_t<T>>;
};
template<class T>
struct kept<taken<T>> {
    using type = T;
};

/// How a combinator keeps an argument forwarded as `T&&`: an lvalue by reference, a taken or temporary one by value.
template<class T>
using kept_t = typename kept<T>::type;

template<class T>
kept_t<T> keep(std::remove_reference_t<T>& given) {
    if constexpr (is_taken<T>)
        return std::move(given).release();
    else
        return static_cast<T&&>(given);
}

} // namespace detail

} // namespace asynchio
