// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "recursive/problem.hpp"

static limit::task<long> fib(int n) {
    if (n < 2) co_return n;
    co_return co_await fib(n - 1) + co_await fib(n - 2);
}

static limit::detached answer() { recursive_problem::check(co_await fib(recursive_problem::n)); }

static void recursive_limit(benchmark::State& state) {
    bench::measure(state, recursive_problem::calls, [] {
        std::size_t running = 0;
        answer().start(running);
        limit::ready.run();
    });
}
BENCHMARK(recursive_limit);
