// SPDX-License-Identifier: BSL-1.0
#pragma once

// Two tasks that wake each other in turn, through two events, two semaphores, or one condition. One turn: the one wakes
// the other and waits to be woken.

#include "support/report.hpp"

namespace sync_ping_pong_problem {

inline constexpr std::size_t turns = 1'000'000; // of both together

inline void check(std::size_t count) { bench::check(count == turns, "sync_ping_pong"); }

} // namespace sync_ping_pong_problem
