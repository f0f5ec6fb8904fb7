// SPDX-License-Identifier: BSL-1.0
#pragma once

// 100,000 sleeps of up to 50 ms each, spread by a fixed sequence: processor time for one. And a timer that is set and
// taken back, with 1,000 others pending.

#include "support/report.hpp"

#include <cstdint>

namespace timers_problem {

inline constexpr std::size_t pending = 1000;
inline constexpr std::size_t cancels = 100'000;

/// Nanoseconds for the i-th sleep, in [0, 50 ms).
inline std::int64_t length(std::size_t i) noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint32_t>(i * 2'654'435'761u)) * 50'000'000 >> 32;
}

} // namespace timers_problem
