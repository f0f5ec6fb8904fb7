// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "yield/problem.hpp"

static limit::detached give_way(std::size_t times, std::size_t& count) {
    for (std::size_t i = 0; i < times; ++i) {
        co_await limit::yield();
        ++count;
    }
}

static void yield_limit(benchmark::State& state) {
    const auto tasks = static_cast<std::size_t>(state.range(0));
    bench::measure(state, yield_problem::switches, [tasks] {
        std::size_t running = 0;
        std::size_t count = 0;
        for (std::size_t i = 0; i < tasks; ++i) give_way(yield_problem::switches / tasks, count).start(running);
        limit::ready.run();
        bench::check(count == yield_problem::switches, "yield");
    });
}
BENCHMARK(yield_limit)->Arg(1)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
