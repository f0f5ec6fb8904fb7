// SPDX-License-Identifier: BSL-1.0

// Five philosophers, five forks, two needed to eat. Forks are mutexes; nobody starves, since a mutex is served in the
// order of arrival, and nobody blocks for ever, since at most four sit at the table: a semaphore.
//
//     c++ -std=c++20 -pthread -Iinclude examples/dining_philosophers.cpp -o dining_philosophers
//
// Run: ./dining_philosophers
// Prints:
//   Plato ate 3 times
//   Kant ate 3 times
//   Hume ate 3 times
//   Mill ate 3 times
//   Marx ate 3 times
//   never more than 2 at once
//
// Read next: event_start_gate.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

constexpr std::array<const char*, 5> names{"Plato", "Kant", "Hume", "Mill", "Marx"};

struct table {
    std::array<aio::mutex, 5> forks;
    aio::semaphore seats{4};
    int eating = 0;
    int most_eating = 0;
};

aio::task<> dine(table& t, aio::mutex& left, aio::mutex& right) {
    const auto seat = co_await t.seats.scoped_acquire();
    const auto one = co_await left.scoped_acquire();
    const auto other = co_await right.scoped_acquire();
    t.most_eating = std::max(t.most_eating, ++t.eating);
    co_await aio::sleep(1ms);
    --t.eating;
}

aio::task<std::string> live(table& t, std::size_t place) {
    int meals = 0;
    for (; meals < 3; ++meals) {
        co_await aio::yield(); // thinks
        co_await dine(t, t.forks[place], t.forks[(place + 1) % names.size()]);
    }
    co_return std::string(names[place]) + " ate " + std::to_string(meals) + " times";
}

aio::task<> show_dinner() {
    table t;
    std::vector<aio::task<std::string>> lives;
    lives.reserve(names.size());
    for (std::size_t place = 0; place < names.size(); ++place) lives.push_back(live(t, place));
    const auto reports = co_await aio::gather(std::move(lives));
    for (const std::string& report : reports) std::cout << report << '\n';
    std::cout << (t.most_eating <= 2 ? "never more than 2 at once\n" : "somebody took a fork that was in use\n");
}

int main() { aio::run(show_dinner()); }
