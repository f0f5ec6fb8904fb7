// SPDX-License-Identifier: BSL-1.0
#include "await/problem.hpp"
#include "support/count_allocations.hpp"

using asynchio::task;

[[gnu::noinline]] static task<long> child(long x) { co_return x; }

static task<> parent() {
    long sum = 0;
    for (long i = 0; i < await_problem::n; ++i) sum += co_await child(i);
    await_problem::check(sum);
}

static void await_asynchio(benchmark::State& state) { bench::measure_task(state, await_problem::n, parent); }
BENCHMARK(await_asynchio);
