// SPDX-License-Identifier: BSL-1.0
#pragma once

// A call that does nothing, made in a worker thread and waited for, one after the other: the round trip.

#include "support/report.hpp"

namespace to_thread_problem {

inline constexpr std::size_t calls = 2000;
inline void check(std::size_t answer) { bench::check(answer == calls, "to_thread"); }

} // namespace to_thread_problem
