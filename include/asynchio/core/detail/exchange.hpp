// SPDX-License-Identifier: BSL-1.0
#pragma once

// std::exchange, without the question whether it can throw: 0.03 MB a type to read instead of 0.16 (see
// tests/compile_cost), for some thirty types.

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Sets `value` to `next`, and gives what it was before.
template<class T, class U = T>
constexpr T exchange(T& value, U&& next) {
    T before = static_cast<T&&>(value);
    value = static_cast<U&&>(next);
    return before;
}

} // namespace asynchio::detail

#pragma GCC visibility pop
