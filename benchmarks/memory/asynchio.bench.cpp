// SPDX-License-Identifier: BSL-1.0
#include "memory/problem.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/yield.hpp>

using asynchio::task;

static task<> wait_for_future(const asynchio::future<>& f) { co_await f; }

template<class Make>
static void bytes_per_task(benchmark::State& state, Make make) {
    for (auto _ : state) {
        double bytes = 0;
        const auto body = [&]() -> task<> {
            const asynchio::future<> never;
            std::size_t before = 0;
            for (const std::size_t tasks : memory_problem::rounds) {
                before = memory_problem::resident_bytes();
                for (std::size_t i = 0; i < tasks; ++i) asynchio::create_task(make(never));
                co_await asynchio::yield();
            }
            bytes = static_cast<double>(memory_problem::resident_bytes() - before);
        };
        asynchio::run(body);
        state.counters["bytes_per_task"] = bytes / static_cast<double>(memory_problem::rounds[1]);
    }
}

// One iteration each, in this order: the pool keeps what it has, so a later row of the same process sees none of it.
static void memory_asynchio_waiting_for_future(benchmark::State& state) {
    bytes_per_task(state, [](const asynchio::future<>& f) { return wait_for_future(f); });
}
BENCHMARK(memory_asynchio_waiting_for_future)->Iterations(1);
