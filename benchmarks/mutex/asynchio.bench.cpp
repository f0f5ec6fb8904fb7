// SPDX-License-Identifier: BSL-1.0
#include "mutex/problem.hpp"
#include "support/count_allocations.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/yield.hpp>

#include <vector>

using asynchio::task;

static task<> lock_and_unlock() {
    asynchio::mutex mutex;
    std::size_t count = 0;
    for (std::size_t i = 0; i < mutex_problem::locks; ++i) {
        co_await mutex.acquire();
        benchmark::DoNotOptimize(++count);
        mutex.release();
    }
    mutex_problem::check(count);
}

static void mutex_uncontended_asynchio(benchmark::State& state) {
    bench::measure_task(state, mutex_problem::locks, lock_and_unlock);
}
BENCHMARK(mutex_uncontended_asynchio);

static task<> lock_in_scope() {
    asynchio::mutex mutex;
    std::size_t count = 0;
    for (std::size_t i = 0; i < mutex_problem::locks; ++i) {
        const auto guard = co_await mutex.scoped_acquire();
        benchmark::DoNotOptimize(++count);
    }
    mutex_problem::check(count);
}

static void mutex_uncontended_guard_asynchio(benchmark::State& state) {
    bench::measure_task(state, mutex_problem::locks, lock_in_scope);
}
BENCHMARK(mutex_uncontended_guard_asynchio);

static task<> holds(asynchio::mutex& mutex, std::size_t& count) {
    for (std::size_t i = 0; i < mutex_problem::locks / mutex_problem::tasks; ++i) {
        co_await mutex.acquire();
        co_await asynchio::yield();
        ++count;
        mutex.release();
    }
}

static task<> contend() {
    asynchio::mutex mutex;
    std::size_t count = 0;
    std::vector<task<>> all;
    for (std::size_t i = 0; i < mutex_problem::tasks; ++i) all.push_back(holds(mutex, count));
    co_await asynchio::gather(std::move(all));
    mutex_problem::check(count);
}

static void mutex_contended_asynchio(benchmark::State& state) {
    bench::measure_task(state, mutex_problem::locks, contend);
}
BENCHMARK(mutex_contended_asynchio);
