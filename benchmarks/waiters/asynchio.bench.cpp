// SPDX-License-Identifier: BSL-1.0
#include "support/count_allocations.hpp"
#include "waiters/problem.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/yield.hpp>

#include <utility>
#include <vector>

using asynchio::task;

static task<> waits(asynchio::event& event, std::size_t& woken) {
    co_await event.wait();
    ++woken;
}
static task<> wake_all(std::size_t n) {
    asynchio::event event;
    std::size_t woken = 0;
    auto set = [&]() -> task<> {
        event.set(); // they wait by now
        co_return;
    };
    std::vector<task<>> all;
    all.reserve(n + 1);
    for (std::size_t i = 0; i < n; ++i) all.push_back(waits(event, woken));
    all.push_back(set());
    co_await asynchio::gather(std::move(all));
    waiters_problem::check(woken, n);
}

static void waiters_asynchio_event(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure_task(state, n, [n] { return wake_all(n); });
}
BENCHMARK(waiters_asynchio_event)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

static task<> locks(asynchio::mutex& mutex, std::size_t& held) {
    const auto guard = co_await mutex.scoped_acquire();
    ++held;
}
static task<> pass_on(std::size_t n) {
    asynchio::mutex mutex;
    std::size_t held = 0;
    std::vector<task<>> all;
    all.reserve(n);
    for (std::size_t i = 0; i < n; ++i) all.push_back(locks(mutex, held));
    co_await mutex.acquire();
    auto waiting = asynchio::create_task(
        [](std::vector<task<>> tasks) -> task<> { co_await asynchio::gather(std::move(tasks)); }, std::move(all));
    co_await asynchio::yield();
    co_await asynchio::yield();
    mutex.release(); // they stand in line by now
    co_await waiting;
    waiters_problem::check(held, n);
}

static void waiters_asynchio_mutex(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure_task(state, n, [n] { return pass_on(n); });
}
BENCHMARK(waiters_asynchio_mutex)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
