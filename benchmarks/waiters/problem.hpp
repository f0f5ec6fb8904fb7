// SPDX-License-Identifier: BSL-1.0
#pragma once

// So many tasks that wait for one thing: an event that wakes them all, a mutex that goes from one to the next. For each of
// them, its start included.

#include "support/report.hpp"

namespace waiters_problem {

inline void check(std::size_t woken, std::size_t waiters) { bench::check(woken == waiters, "waiters"); }

} // namespace waiters_problem
