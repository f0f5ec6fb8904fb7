// SPDX-License-Identifier: BSL-1.0
#include "support/count_allocations.hpp"
#include "to_thread/problem.hpp"

#include <asynchio/thread/to_thread.hpp>

using asynchio::task;
using namespace std::chrono_literals;

static task<> calls() {
    std::size_t answer = 0;
    for (std::size_t i = 0; i < to_thread_problem::calls; ++i)
        answer += co_await asynchio::to_thread([] { return std::size_t(1); });
    to_thread_problem::check(answer);
}

static void to_thread_asynchio(benchmark::State& state) { bench::measure_task(state, to_thread_problem::calls, calls); }
BENCHMARK(to_thread_asynchio)->UseRealTime();

static void to_thread_asynchio_spinning(benchmark::State& state) {
    asynchio::runner runner;
    const auto prepare = []() -> task<> {
        asynchio::set_default_pool(1, {.spin = 50us});
        co_return;
    };
    runner.run(prepare());
    bench::measure(state, to_thread_problem::calls, [&] { runner.run(calls()); });
}
BENCHMARK(to_thread_asynchio_spinning)->UseRealTime();
