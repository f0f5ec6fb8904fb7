// SPDX-License-Identifier: BSL-1.0
#include "support/count_allocations.hpp"
#include "timers/problem.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/sleep.hpp>

#include <vector>

using asynchio::task;
using namespace std::chrono_literals;

static task<> one_sleep(std::int64_t length, std::size_t& woken) {
    co_await asynchio::sleep(std::chrono::nanoseconds(length));
    ++woken;
}

static task<> all_sleeps() {
    std::size_t woken = 0;
    std::vector<task<>> all;
    all.reserve(timers_problem::sleeps);
    for (std::size_t i = 0; i < timers_problem::sleeps; ++i) all.push_back(one_sleep(timers_problem::length(i), woken));
    co_await asynchio::gather(std::move(all));
    bench::check(woken == timers_problem::sleeps, "timers");
}

static void sleep_asynchio(benchmark::State& state) {
    bench::measure_task(state, timers_problem::sleeps, all_sleeps);
}
BENCHMARK(sleep_asynchio);

static void timer_cancel_asynchio(benchmark::State& state) {
    asynchio::event_loop loop;
    std::vector<asynchio::timer_handle> others;
    for (std::size_t i = 0; i < timers_problem::pending; ++i)
        others.push_back(loop.call_later(1h + std::chrono::nanoseconds(timers_problem::length(i)), [] {}));
    bench::measure(state, timers_problem::cancels, [&] {
        for (std::size_t i = 0; i < timers_problem::cancels; ++i) {
            asynchio::timer_handle handle = loop.call_later(std::chrono::nanoseconds(timers_problem::length(i)), [] {});
            handle.cancel();
        }
    });
    bench::check(loop.pending_timers() == timers_problem::pending, "timer_cancel");
}
BENCHMARK(timer_cancel_asynchio);
