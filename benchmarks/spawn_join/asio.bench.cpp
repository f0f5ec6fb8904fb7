// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "spawn_join/problem.hpp"

static asio::awaitable<void> count(std::size_t& done) {
    ++done;
    co_return;
}
static asio::awaitable<void> in_rounds(asio::io_context& loop, std::size_t at_once) {
    std::size_t done = 0;
    for (std::size_t round = 0; round < spawn_join_problem::total / at_once; ++round) {
        for (std::size_t i = 0; i < at_once; ++i) asio::co_spawn(loop, count(done), asio::detached);
        while (done < (round + 1) * at_once) co_await bench::yield_asio(loop);
    }
    bench::check(done == spawn_join_problem::total, "spawn_join");
}

static void spawn_join_asio(benchmark::State& state) {
    asio::io_context loop(1);
    const auto at_once = static_cast<std::size_t>(state.range(0));
    bench::measure_asio(state, loop, spawn_join_problem::total, [&] { return in_rounds(loop, at_once); });
}
BENCHMARK(spawn_join_asio)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
