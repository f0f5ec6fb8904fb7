// SPDX-License-Identifier: BSL-1.0
#pragma once

// One task puts a million numbers into a queue, another takes them out. Capacity 1, 128, and 0 for unbounded.

#include "support/report.hpp"

namespace queue_problem {

inline constexpr std::size_t items = 1'000'000;

inline void check(std::size_t sum) { bench::check(sum == items * (items - 1) / 2, "queue"); }

} // namespace queue_problem
