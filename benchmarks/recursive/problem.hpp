// SPDX-License-Identifier: BSL-1.0
#pragma once

// Recursive awaits: Fibonacci numbers the slow way. 2,692,537 calls.

#include "support/report.hpp"

namespace recursive_problem {

inline constexpr int n = 30;
inline constexpr long calls = 2'692'537;
inline void check(long answer) { bench::check(answer == 832'040, "recursive"); }

} // namespace recursive_problem
