// SPDX-License-Identifier: BSL-1.0
#pragma once

// The ranges that a range-based for iterates, without <ranges>; tests/compile_cost/README.md has the reasons.

#include <concepts>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

template<class R>
concept has_member_begin = requires(R& r) {
    *r.begin();
    r.end();
};

template<class R>
concept has_free_begin = requires(R& r) { // found by the argument's namespace alone, as a range-for does
    *begin(r);
    end(r);
};

template<class R>
concept range = std::is_bounded_array_v<std::remove_reference_t<R>> || has_member_begin<R> || has_free_begin<R>;

/// Returns the iterator at which a range-based for begins.
template<class R>
constexpr auto begin_of(R& r) {
    if constexpr (std::is_bounded_array_v<R>)
        return r + 0;
    else if constexpr (has_member_begin<R>)
        return r.begin();
    else
        return begin(r);
}

/// Returns the iterator at which it ends.
template<class R>
constexpr auto end_of(R& r) {
    if constexpr (std::is_bounded_array_v<R>)
        return r + std::extent_v<R>;
    else if constexpr (has_member_begin<R>)
        return r.end();
    else
        return end(r);
}

template<range R>
using range_reference_t = decltype(*detail::begin_of(std::declval<std::remove_reference_t<R>&>()));

template<range R>
using range_value_t = std::remove_cvref_t<range_reference_t<R>>;

/// A range whose elements convert to `T`.
template<class R, class T>
concept range_of = range<R> && std::convertible_to<range_reference_t<R>, T>;

} // namespace asynchio::detail

#pragma GCC visibility pop
