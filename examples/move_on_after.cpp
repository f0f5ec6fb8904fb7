// SPDX-License-Identifier: BSL-1.0

// move_on_after ends its block quietly when time is up: for things that are nice to have. The block's result comes as an
// optional.
//
//     c++ -std=c++20 -pthread -Iinclude examples/move_on_after.cpp -o move_on_after
//
// Run: ./move_on_after
// Prints:
//   weather: unknown
//   news: it rains
//
// Read next: interval_ticks.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <optional>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<std::string> ask_service(std::chrono::milliseconds time, std::string answer) {
    co_await aio::sleep(time);
    co_return answer;
}

aio::task<std::string> ask_or_unknown(std::chrono::milliseconds time, std::string answer) {
    const std::optional<std::string> got = co_await aio::with(aio::move_on_after(100ms), ask_service(time, answer));
    co_return got.value_or("unknown");
}

aio::task<> show_page() {
    const std::string weather = co_await ask_or_unknown(1h, "sunny");
    const std::string news = co_await ask_or_unknown(1ms, "it rains");
    std::cout << "weather: " << weather << "\nnews: " << news << '\n';
}

int main() { aio::run(show_page()); }
