// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "recursive/problem.hpp"

static asio::awaitable<long> fib(int n) {
    if (n < 2) co_return n;
    co_return co_await fib(n - 1) + co_await fib(n - 2);
}
static asio::awaitable<void> answer() { recursive_problem::check(co_await fib(recursive_problem::n)); }

static void recursive_asio(benchmark::State& state) { bench::measure_asio(state, recursive_problem::calls, answer); }
BENCHMARK(recursive_asio);
