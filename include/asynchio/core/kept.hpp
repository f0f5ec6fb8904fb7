// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a call that goes on later keeps its arguments. See take.

#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The result of take(): a value that is moved into the call that it is passed to.
///
/// Threads: as `T`. Lifetime: it owns the value.
/// See also: take.
template<class T>
class taken {
public:
    /// Takes over a value.
    explicit taken(T&& value) noexcept(std::is_nothrow_move_constructible_v<T>) : value_(std::move(value)) {}
    /// Moves the value out.
    T release() && { return std::move(value_); }
    /// Returns the value, which stays.
    const T& value() const noexcept { return value_; }
    /// Returns the value as an rvalue.
    T&& pass_on() noexcept { return std::move(value_); }

private:
    T value_;
};

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

/// The type in which a combinator keeps an argument forwarded as `T&&`: an lvalue by reference, a taken or temporary
/// one by value.
template<class T>
using kept_t = typename kept<T>::type;

template<class T>
kept_t<T> keep(std::remove_reference_t<T>& given) {
    if constexpr (is_taken<T>)
        return std::move(given).release();
    else
        return static_cast<T&&>(given);
}

/// The type in which a call that copies its arguments keeps one: a taken argument as the value that was taken.
template<class T>
using copied_t = std::decay_t<kept_t<T>>;

/// Returns the argument itself for such a call: a taken value as an rvalue.
template<class T>
decltype(auto) pass_on(std::remove_reference_t<T>& given) noexcept {
    if constexpr (is_taken<T>)
        return given.pass_on();
    else
        return static_cast<T&&>(given);
}

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
