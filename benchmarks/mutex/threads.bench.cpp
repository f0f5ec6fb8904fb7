// SPDX-License-Identifier: BSL-1.0
#include "mutex/problem.hpp"

#include <mutex>
#include <thread>
#include <vector>

static void mutex_uncontended_std(benchmark::State& state) {
    bench::measure(state, mutex_problem::locks, [] {
        std::mutex mutex;
        std::size_t count = 0;
        for (std::size_t i = 0; i < mutex_problem::locks; ++i) {
            mutex.lock();
            benchmark::DoNotOptimize(++count);
            mutex.unlock();
        }
        mutex_problem::check(count);
    });
}
BENCHMARK(mutex_uncontended_std);

/// Ten threads; what std::mutex does not do is hand over in order.
static void mutex_contended_std(benchmark::State& state) {
    bench::measure(state, mutex_problem::locks, [] {
        std::mutex mutex;
        std::size_t count = 0;
        std::vector<std::thread> all;
        for (std::size_t i = 0; i < mutex_problem::tasks; ++i)
            all.emplace_back([&] {
                for (std::size_t n = 0; n < mutex_problem::locks / mutex_problem::tasks; ++n) {
                    const std::unique_lock lock(mutex);
                    ++count;
                }
            });
        for (std::thread& each : all) each.join();
        mutex_problem::check(count);
    });
}
BENCHMARK(mutex_contended_std)->UseRealTime();
