// SPDX-License-Identifier: BSL-1.0

// race runs several things until the first has ended; the others are cancelled and awaited, so nothing runs on behind
// your back. A range gives the winner's index and result, single arguments give a variant.
//
//     c++ -std=c++20 -pthread -Iinclude examples/race_mirrors.cpp -o race_mirrors
//
// Run: ./race_mirrors
// Prints:
//   Lima was told to stop
//   mirror 1 was first: the file from Oslo
//   no answer in time
//
// Read next: task_group_children.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<std::string> fetch(std::string city, std::chrono::milliseconds latency) {
    try {
        co_await aio::sleep(latency);
    } catch (const aio::cancelled_error&) {
        std::cout << city << " was told to stop\n";
        throw; // always: a cancellation that is swallowed is a task that does not stop
    }
    co_return "the file from " + city;
}

aio::task<std::string> fetch_from_any() {
    std::vector<aio::task<std::string>> mirrors;
    mirrors.push_back(fetch("Lima", 1h));
    mirrors.push_back(fetch("Oslo", 20ms));
    const auto winner = co_await aio::race(mirrors);
    co_return "mirror " + std::to_string(winner.first) + " was first: " + winner.second;
}

aio::task<> show_races() {
    std::cout << co_await fetch_from_any() << '\n';
    const auto first = co_await aio::race(aio::sleep(1h), aio::sleep(10ms));
    std::cout << (first.index() == 0 ? "an answer\n" : "no answer in time\n");
}

int main() { aio::run(show_races()); }
