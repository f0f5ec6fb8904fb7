// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a range-for goes through. Without <ranges>, 6 MB of what g++ allocates (see tests/compile_cost).

#include <concepts>
#include <iterator>
#include <type_traits>
#include <utility>

namespace asynchio::detail {

template<class R>
concept range = requires(R& r) {
    *std::begin(r);
    std::end(r);
};

template<class R>
using range_reference_t = decltype(*std::begin(std::declval<R&>()));

template<class R>
using range_value_t = std::remove_cvref_t<range_reference_t<R>>;

/// Whose elements become a `T`.
template<class R, class T>
concept range_of = range<R> && std::convertible_to<range_reference_t<R>, T>;

} // namespace asynchio::detail
