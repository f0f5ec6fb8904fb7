// SPDX-License-Identifier: BSL-1.0
#pragma once

// Awaiting a child that returns at once, a million times: the sum of 0 to n - 1.

#include "support/report.hpp"

namespace await_problem {

inline constexpr long n = 1'000'000;
inline void check(long sum) { bench::check(sum == n * (n - 1) / 2, "await"); }

} // namespace await_problem
