// SPDX-License-Identifier: BSL-1.0

// An interval has ticks that are one period apart, counted from its start: the time that the work takes does not add up,
// as it does with a sleep in a loop. After work that took too long, the policy decides: all missed ticks follow at once
// (burst), they are left out (skip), or the next one comes a period later (delay).
//
//     c++ -std=c++20 -pthread -Iinclude examples/interval_ticks.cpp -o interval_ticks
//
// Run: ./interval_ticks
// Prints:
//   burst: 0 10 45 45 45 50
//   skip: 0 10 45 50 60 70
//   delay: 0 10 45 55 65 75
//
// Read next: cancellation_and_cleanup.cpp

#include <asynchio/task.hpp>
#include <asynchio/testing.hpp>

#include <chrono>
#include <iostream>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> show(std::string name, aio::missed_ticks policy) {
    const auto begin = aio::clock::now();
    aio::interval ticks(10ms, policy);
    std::cout << name << ':';
    for (int i = 0; i < 6; ++i) {
        co_await ticks.next();
        std::cout << ' ' << std::chrono::duration_cast<std::chrono::milliseconds>(aio::clock::now() - begin).count();
        if (i == 1) co_await aio::sleep(35ms); // work that takes more than three periods
    }
    std::cout << '\n';
}

aio::task<> program() {
    co_await show("burst", aio::missed_ticks::burst);
    co_await show("skip", aio::missed_ticks::skip);
    co_await show("delay", aio::missed_ticks::delay);
}

int main() { aio::run(program(), aio::testing::virtual_clock()); } // so that the times are exact
