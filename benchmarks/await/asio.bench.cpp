// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "await/problem.hpp"

[[gnu::noinline]] static asio::awaitable<long> child(long x) { co_return x; }
static asio::awaitable<void> parent() {
    long sum = 0;
    for (long i = 0; i < await_problem::n; ++i) sum += co_await child(i);
    await_problem::check(sum);
}

static void await_asio(benchmark::State& state) { bench::measure_asio(state, await_problem::n, parent); }
BENCHMARK(await_asio);
