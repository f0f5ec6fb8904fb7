// SPDX-License-Identifier: BSL-1.0
#pragma once

// How many worker threads there are in the process, for audits.

#include <atomic>

namespace asynchio::detail {

inline std::atomic<int> workers_alive = 0;

} // namespace asynchio::detail
