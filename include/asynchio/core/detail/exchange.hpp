// SPDX-License-Identifier: BSL-1.0
#pragma once

// std::exchange without its exception specification; tests/compile_cost/README.md has the reasons.

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Sets `value` to `next`. @return the value before.
template<class T, class U = T>
constexpr T exchange(T& value, U&& next) {
    T before = static_cast<T&&>(value);
    value = static_cast<U&&>(next);
    return before;
}

} // namespace asynchio::detail

#pragma GCC visibility pop
