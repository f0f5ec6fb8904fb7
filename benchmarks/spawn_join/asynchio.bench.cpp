// SPDX-License-Identifier: BSL-1.0
#include "spawn_join/problem.hpp"
#include "support/count_allocations.hpp"

#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/yield.hpp>

using asynchio::task;

static task<> count(std::size_t& done) {
    ++done;
    co_return;
}

static task<> in_rounds(std::size_t at_once) {
    std::size_t done = 0;
    for (std::size_t round = 0; round < spawn_join_problem::total / at_once; ++round) {
        for (std::size_t i = 0; i < at_once; ++i) asynchio::create_task(count(done));
        while (done < (round + 1) * at_once) co_await asynchio::yield();
    }
    bench::check(done == spawn_join_problem::total, "spawn_join");
}

static void spawn_join_asynchio(benchmark::State& state) {
    const auto at_once = static_cast<std::size_t>(state.range(0));
    bench::measure_task(state, spawn_join_problem::total, [at_once] { return in_rounds(at_once); });
}
BENCHMARK(spawn_join_asynchio)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

static task<> in_groups(std::size_t at_once) {
    std::size_t done = 0;
    const auto body = [&](asynchio::task_group& group) -> task<> {
        for (std::size_t i = 0; i < at_once; ++i) group.create_task(count(done));
        co_return;
    };
    for (std::size_t round = 0; round < spawn_join_problem::total / at_once; ++round)
        co_await asynchio::with(asynchio::task_group(), body);
    bench::check(done == spawn_join_problem::total, "spawn_join");
}

static void spawn_join_asynchio_task_group(benchmark::State& state) {
    const auto at_once = static_cast<std::size_t>(state.range(0));
    bench::measure_task(state, spawn_join_problem::total, [at_once] { return in_groups(at_once); });
}
BENCHMARK(spawn_join_asynchio_task_group)->Arg(1000)->Arg(1'000'000);
