// SPDX-License-Identifier: BSL-1.0
#pragma once

// Numbers from one producer to one consumer through a bounded queue; the argument is its capacity.

#include "support/report.hpp"

#include <cstddef>
#include <cstdint>

namespace threadsafe_queue_problem {

/// With one place, each item is a switch or two of threads: fewer of them.
inline std::size_t items(std::size_t capacity) noexcept { return capacity == 1 ? 2'000 : 100'000; }

inline void check(std::uint64_t sum, std::size_t number) {
    bench::check(sum == std::uint64_t(number) * (number - 1) / 2, "threadsafe_queue");
}

inline void capacities(benchmark::internal::Benchmark* b) { b->Arg(1)->Arg(128)->Arg(4096)->UseRealTime(); }

} // namespace threadsafe_queue_problem
