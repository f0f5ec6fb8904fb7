// SPDX-License-Identifier: BSL-1.0
#pragma once

// Starting tasks that only count, and waiting until all have: 1,000 at a time, so that they stay in the cache, and
// 1,000,000 at once.

#include "support/report.hpp"

namespace spawn_join_problem {

inline constexpr std::size_t total = 1'000'000;

} // namespace spawn_join_problem
