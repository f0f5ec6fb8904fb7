// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "await/problem.hpp"

[[gnu::noinline]] static limit::task<long> child(long x) { co_return x; }

static limit::detached parent() {
    long sum = 0;
    for (long i = 0; i < await_problem::n; ++i) sum += co_await child(i);
    await_problem::check(sum);
}

static void await_limit(benchmark::State& state) {
    bench::measure(state, await_problem::n, [] {
        std::size_t running = 0;
        parent().start(running);
        limit::ready.run();
    });
}
BENCHMARK(await_limit);
