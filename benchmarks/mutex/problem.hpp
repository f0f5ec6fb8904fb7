// SPDX-License-Identifier: BSL-1.0
#pragma once

// A counter under a mutex: raised a million times by one task, whom nobody disturbs; or by ten tasks that each give way
// while they hold the mutex, so that every unlock hands it over.

#include "support/report.hpp"

namespace mutex_problem {

inline constexpr std::size_t locks = 1'000'000;
inline constexpr std::size_t tasks = 10;

inline void check(std::size_t count) { bench::check(count == locks, "mutex"); }

} // namespace mutex_problem
