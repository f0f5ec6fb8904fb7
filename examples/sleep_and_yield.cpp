// SPDX-License-Identifier: BSL-1.0

// sleep waits for time to pass, sleep_until for a point in time, and yield lets everything that is ready run once: for
// long computations that should not hold up others.
//
//     c++ -std=c++20 -pthread -Iinclude examples/sleep_and_yield.cpp -o sleep_and_yield
//
// Run: ./sleep_and_yield
// Prints:
//   clock: tick 1
//   clock: tick 2
//   clock: tick 3
//   sum of 1 to 1000: 500500
//   others ran meanwhile: yes
//   sleep returns a value: 7
//
// Read next: run_and_runner.cpp

#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// Ticks without drift: each point in time is reckoned from the first.
aio::task<> tick(int times) {
    const aio::time_point begin = aio::clock::now();
    for (int n = 1; n <= times; ++n) {
        co_await aio::sleep_until(begin + n * 10ms);
        std::cout << "clock: tick " << n << '\n';
    }
}

aio::task<int> add_up(int last) {
    int sum = 0;
    for (int n = 1; n <= last; ++n) {
        sum += n;
        if (n % 100 == 0) co_await aio::yield(); // a few nanoseconds; the loop is not held up
    }
    co_return sum;
}

aio::task<> count(int& rounds) {
    for (;; ++rounds) co_await aio::yield();
}

aio::task<> show_time() {
    co_await tick(3);
    int rounds = 0;
    aio::create_task(count(rounds)); // run cancels and awaits what is left in the end
    const int sum = co_await add_up(1000);
    std::cout << "sum of 1 to 1000: " << sum << '\n';
    std::cout << "others ran meanwhile: " << (rounds >= 9 ? "yes\n" : "no\n");
    const int slept = co_await aio::sleep(1ms, 7);
    std::cout << "sleep returns a value: " << slept << '\n';
    for (const aio::any_task_handle& each : aio::all_tasks())
        if (each != aio::current_task()) each.cancel(); // it counts in a variable of this frame
    co_await aio::yield();
}

int main() { aio::run(show_time()); }
