// SPDX-License-Identifier: BSL-1.0
#include "yield/problem.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

/// Two threads that take turns: what a switch costs without a loop.
static void yield_two_threads_condition_variable(benchmark::State& state) {
    constexpr std::size_t turns = 10'000;
    bench::measure(state, turns * 2, [] {
        std::mutex mutex;
        std::condition_variable changed;
        int turn = 0;
        const auto take_turns = [&](int self) {
            for (std::size_t i = 0; i < turns; ++i) {
                std::unique_lock lock(mutex);
                changed.wait(lock, [&] { return turn == self; });
                turn = 1 - self;
                changed.notify_one();
            }
        };
        std::thread other(take_turns, 1);
        take_turns(0);
        other.join();
    });
}
BENCHMARK(yield_two_threads_condition_variable)->UseRealTime();
