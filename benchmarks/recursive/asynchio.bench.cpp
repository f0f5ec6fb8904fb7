// SPDX-License-Identifier: BSL-1.0
#include "recursive/problem.hpp"
#include "support/count_allocations.hpp"

static asynchio::task<long> fib(int n) {
    if (n < 2) co_return n;
    co_return co_await fib(n - 1) + co_await fib(n - 2);
}

static asynchio::task<> answer() { recursive_problem::check(co_await fib(recursive_problem::n)); }

static void recursive_asynchio(benchmark::State& state) {
    bench::measure_task(state, recursive_problem::calls, answer);
}
BENCHMARK(recursive_asynchio);
