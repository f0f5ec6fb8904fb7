// SPDX-License-Identifier: BSL-1.0
#include "spawn_join/problem.hpp"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

static void spawn_join_std_thread(benchmark::State& state) {
    constexpr std::size_t threads = 100;
    bench::measure(state, threads, [] {
        std::atomic<std::size_t> done = 0;
        std::vector<std::thread> all;
        for (std::size_t i = 0; i < threads; ++i) all.emplace_back([&] { ++done; });
        for (std::thread& each : all) each.join();
        bench::check(done == threads, "spawn_join");
    });
}
BENCHMARK(spawn_join_std_thread)->UseRealTime();

static void spawn_join_std_async(benchmark::State& state) {
    constexpr std::size_t calls = 100;
    bench::measure(state, calls, [] {
        std::atomic<std::size_t> done = 0;
        std::vector<std::future<void>> all;
        for (std::size_t i = 0; i < calls; ++i) all.push_back(std::async(std::launch::async, [&] { ++done; }));
        for (std::future<void>& each : all) each.get();
        bench::check(done == calls, "spawn_join");
    });
}
BENCHMARK(spawn_join_std_async)->UseRealTime();
