// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "spawn_join/problem.hpp"

static limit::detached count(std::size_t& done) {
    ++done;
    co_return;
}

static limit::detached in_rounds(std::size_t at_once) {
    std::size_t done = 0;
    std::size_t running = 0;
    for (std::size_t round = 0; round < spawn_join_problem::total / at_once; ++round) {
        for (std::size_t i = 0; i < at_once; ++i) count(done).start(running);
        while (running != 0) co_await limit::yield();
    }
    bench::check(done == spawn_join_problem::total, "spawn_join");
}

static void spawn_join_limit(benchmark::State& state) {
    const auto at_once = static_cast<std::size_t>(state.range(0));
    bench::measure(state, spawn_join_problem::total, [at_once] {
        std::size_t main = 0;
        in_rounds(at_once).start(main);
        limit::ready.run();
    });
}
BENCHMARK(spawn_join_limit)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
