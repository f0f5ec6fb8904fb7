// SPDX-License-Identifier: BSL-1.0
#pragma once

// A thread posts calls to a loop that runs on another thread; each counts. Time until all have been made.

#include "support/report.hpp"

namespace post_problem {

inline constexpr std::size_t posts = 200'000;

} // namespace post_problem
