// SPDX-License-Identifier: BSL-1.0
#pragma once

// Tasks that give way a million times in all: one, or a thousand in turn; alone, or while a socket is registered and a
// timer pending.

#include "support/report.hpp"

namespace yield_problem {

inline constexpr std::size_t switches = 1'000'000;

} // namespace yield_problem
