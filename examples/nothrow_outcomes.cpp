// SPDX-License-Identifier: BSL-1.0

// co_await nothrow(x) gives the result as a value: a result, an exception, or that it was cancelled. It never swallows a
// request to cancel the task that awaits.
//
//     c++ -std=c++20 -pthread -Iinclude examples/nothrow_outcomes.cpp -o nothrow_outcomes
//
// Run: ./nothrow_outcomes
// Prints:
//   10 / 2: 5
//   10 / 0: division by zero
//   cancelled before it began
//
// Read next: signals_ctrl_c.cpp

#include <asynchio/task.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

namespace aio = asynchio;
aio::task<int> divide(int a, int b) {
    co_await aio::yield();
    if (b == 0) throw std::domain_error("division by zero");
    co_return a / b;
}

std::string describe(const aio::outcome<int>& result) {
    if (result) return std::to_string(result.value());
    if (result.cancelled()) return "cancelled before it began";
    try {
        result.rethrow();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}

aio::task<> show_outcomes() {
    const auto good = co_await aio::nothrow(divide(10, 2));
    std::cout << "10 / 2: " << describe(good) << '\n';
    const auto bad = co_await aio::nothrow(divide(10, 0));
    std::cout << "10 / 0: " << describe(bad) << '\n';

    const auto handle = aio::create_task(divide(1, 1));
    handle.cancel();
    const auto none = co_await aio::nothrow(handle);
    std::cout << describe(none) << '\n';
}

int main() { aio::run(show_outcomes()); }
