// SPDX-License-Identifier: BSL-1.0
#pragma once

// What every row reports: nanoseconds and allocations for one operation, checked answers.

#include <asynchio/task/run.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bench {

/// Calls of the global operator new in this process; counted in support/count_allocations.hpp where it is included.
inline std::size_t allocations = 0;

/// Done in this process so far, warming up included: what a count of the process's system calls is divided by.
inline double operations_so_far = 0;

/// A wrong answer ends the run: its time would mean nothing.
inline void check(bool right, const char* what) {
    if (right) return;
    std::fprintf(stderr, "wrong answer: %s\n", what);
    std::abort();
}

/// Times `body()`, which does `operations`, again and again; reports ns and allocations for one.
template<class Body>
void measure(benchmark::State& state, std::size_t operations, Body body) {
    body(); // warms pools and caches
    const std::size_t before = allocations;
    for (auto _ : state) body();
    const double all = static_cast<double>(operations) * static_cast<double>(state.iterations());
    state.counters["per_op"] = benchmark::Counter(
        static_cast<double>(operations), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
    operations_so_far += all + static_cast<double>(operations);
    state.counters["operations_so_far"] = operations_so_far;
    state.counters["allocs"] = static_cast<double>(allocations - before) / all;
}

/// Measures a coroutine: `make()` returns a task, which runs on one loop that lives through the whole row.
template<class Make>
void measure_task(benchmark::State& state, std::size_t operations, Make make) {
    asynchio::runner runner;
    measure(state, operations, [&] { runner.run(make()); });
}

} // namespace bench
