// SPDX-License-Identifier: BSL-1.0
#pragma once

// A million numbers, one by one, from something that counts: the sum of 0 to n - 1. Synchronously for a plain loop, and
// asynchronously, all items ready, for a coroutine.

#include "support/report.hpp"

namespace generator_problem {

inline constexpr long n = 1'000'000;
inline void check(long sum) { bench::check(sum == n * (n - 1) / 2, "generator"); }

} // namespace generator_problem
