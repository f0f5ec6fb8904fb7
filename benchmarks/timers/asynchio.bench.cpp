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

static task<> all_sleeps(std::size_t n) {
    std::size_t woken = 0;
    std::vector<task<>> all;
    all.reserve(n);
    for (std::size_t i = 0; i < n; ++i) all.push_back(one_sleep(timers_problem::length(i), woken));
    co_await asynchio::gather(std::move(all));
    bench::check(woken == n, "timers");
}

static void sleep_asynchio(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure_task(state, n, [n] { return all_sleeps(n); });
}
BENCHMARK(sleep_asynchio)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

/// While `pending` others are set.
static void cancel_timers(benchmark::State& state, std::size_t pending) {
    asynchio::event_loop loop;
    std::vector<asynchio::timer_handle> others;
    for (std::size_t i = 0; i < pending; ++i)
        others.push_back(loop.call_later(1h + std::chrono::nanoseconds(timers_problem::length(i)), [] {}));
    bench::measure(state, timers_problem::cancels, [&] {
        for (std::size_t i = 0; i < timers_problem::cancels; ++i) {
            asynchio::timer_handle handle = loop.call_later(std::chrono::nanoseconds(timers_problem::length(i)), [] {});
            handle.cancel();
        }
    });
    bench::check(loop.pending_timers() == pending, "timer_cancel");
}
static void timer_cancel_asynchio(benchmark::State& state) { cancel_timers(state, timers_problem::pending); }
BENCHMARK(timer_cancel_asynchio);

static void timer_cancel_pending_asynchio(benchmark::State& state) {
    cancel_timers(state, static_cast<std::size_t>(state.range(0)));
}
BENCHMARK(timer_cancel_pending_asynchio)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
