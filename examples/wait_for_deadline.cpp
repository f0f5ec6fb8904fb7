// SPDX-License-Identifier: BSL-1.0

// wait_for gives something a deadline. When time is up it is cancelled and awaited (its cleanup runs), and timeout_error
// is thrown.
//
//     c++ -std=c++20 -pthread -Iinclude examples/wait_for_deadline.cpp -o wait_for_deadline
//
// Run: ./wait_for_deadline
// Prints:
//   answer: 42
//   the slow query closes its connection
//   the slow query timed out
//
// Read next: timeout_block.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct connection {
    connection() = default;
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection() { std::cout << "the slow query closes its connection\n"; }
};

aio::task<int> quick_query() {
    co_await aio::sleep(1ms);
    co_return 42;
}

aio::task<int> slow_query() {
    const connection open;
    co_await aio::sleep(1h); // here the cancellation arrives
    co_return 0;
}

aio::task<> ask() {
    const int answer = co_await aio::wait_for(quick_query(), 10s);
    std::cout << "answer: " << answer << '\n';
    try {
        co_await aio::wait_for(slow_query(), 50ms);
    } catch (const aio::timeout_error&) {
        std::cout << "the slow query timed out\n";
    }
}

int main() { aio::run(ask()); }
