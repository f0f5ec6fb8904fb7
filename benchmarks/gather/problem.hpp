// SPDX-License-Identifier: BSL-1.0
#pragma once

// Ten children that return at once, awaited together; and a range of 10,000 of them. The answer is their sum.

#include "support/report.hpp"

namespace gather_problem {

inline constexpr std::size_t rounds = 10'000; // of ten
inline constexpr std::size_t wide = 10'000;
inline void check(long sum, long expected) { bench::check(sum == expected, "gather"); }

} // namespace gather_problem
