// SPDX-License-Identifier: BSL-1.0
#include "sync_ping_pong/problem.hpp"

#include <condition_variable>
#include <mutex>
#include <semaphore>
#include <thread>

static void sync_ping_pong_std_semaphore(benchmark::State& state) {
    constexpr std::size_t turns = 20'000;
    bench::measure(state, turns, [] {
        std::binary_semaphore a(1);
        std::binary_semaphore b(0);
        std::size_t count = 0;
        const auto play = [&count](std::binary_semaphore& mine, std::binary_semaphore& other) {
            for (std::size_t i = 0; i < turns / 2; ++i) {
                mine.acquire();
                ++count;
                other.release();
            }
        };
        std::thread second([&] { play(b, a); });
        play(a, b);
        second.join();
        bench::check(count == turns, "sync_ping_pong");
    });
}
BENCHMARK(sync_ping_pong_std_semaphore)->UseRealTime();

static void sync_ping_pong_std_condition_variable(benchmark::State& state) {
    constexpr std::size_t turns = 20'000;
    bench::measure(state, turns, [] {
        std::mutex mutex;
        std::condition_variable changed;
        std::size_t count = 0;
        const auto play = [&](std::size_t self) {
            for (std::size_t i = 0; i < turns / 2; ++i) {
                std::unique_lock lock(mutex);
                changed.wait(lock, [&] { return count % 2 == self; });
                ++count;
                changed.notify_one();
            }
        };
        std::thread second(play, 1);
        play(0);
        second.join();
        bench::check(count == turns, "sync_ping_pong");
    });
}
BENCHMARK(sync_ping_pong_std_condition_variable)->UseRealTime();
