// SPDX-License-Identifier: BSL-1.0
#include "support/limit_kept.hpp"
#include "spawn_join/problem.hpp"

static limit::kept::task count(std::size_t& done) {
    ++done;
    co_return;
}

/// A handle tells how its task ended, also of one that was cancelled before it began.
static void check_promises() {
    std::size_t done = 0;
    const auto ended = count(done).start();
    const auto cancelled = count(done).start();
    cancelled.cancel();
    limit::ready.run();
    bool thrown = false;
    ended.result();
    try {
        cancelled.result();
    } catch (const std::runtime_error&) {
        thrown = true;
    }
    bench::check(done == 1 && ended.done() && thrown && limit::kept::the_loop.first == nullptr, "limit_kept");
}

static limit::detached in_rounds(std::size_t at_once) {
    std::size_t done = 0;
    for (std::size_t round = 0; round < spawn_join_problem::total / at_once; ++round) {
        for (std::size_t i = 0; i < at_once; ++i) static_cast<void>(count(done).start());
        while (done < (round + 1) * at_once) co_await limit::yield();
    }
    bench::check(done == spawn_join_problem::total, "spawn_join");
}

static void spawn_join_limit_kept(benchmark::State& state) {
    check_promises();
    const auto at_once = static_cast<std::size_t>(state.range(0));
    bench::measure(state, spawn_join_problem::total, [at_once] {
        std::size_t main = 0;
        in_rounds(at_once).start(main);
        limit::ready.run();
    });
}
BENCHMARK(spawn_join_limit_kept)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
