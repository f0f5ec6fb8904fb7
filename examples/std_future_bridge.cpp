// SPDX-License-Identifier: BSL-1.0

// Awaiting what other libraries give as std::future: wrap_future waits for it in a thread of the loop's pool. The loop
// goes on meanwhile. A std::future cannot be interrupted, so giving up leaves that thread waiting until it is ready.
//
//     c++ -std=c++20 -pthread -Iinclude examples/std_future_bridge.cpp -o std_future_bridge
//
// Run: ./std_future_bridge
// Prints:
//   the loop goes on
//   the library says 42
//   the library failed: no such record
//   gave up after 10 ms
//
// Read next: to_thread_blocking.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <future>
#include <iostream>
#include <stdexcept>
#include <thread>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// A library that knows nothing of loops.
std::future<int> look_up(int record, std::chrono::milliseconds time) {
    return std::async(std::launch::async, [record, time] {
        std::this_thread::sleep_for(time);
        if (record < 0) throw std::out_of_range("no such record");
        return record * 2;
    });
}

aio::task<> amain() {
    const auto answer = aio::wrap_future(look_up(21, 20ms)); // starts to wait at once
    std::cout << "the loop goes on\n";
    const int value = co_await answer;
    std::cout << "the library says " << value << '\n';

    try {
        co_await aio::wrap_future(look_up(-1, 1ms));
    } catch (const std::out_of_range& e) {
        std::cout << "the library failed: " << e.what() << '\n';
    }

    try {
        co_await aio::wait_for(aio::wrap_future(look_up(3, 100ms)), 10ms);
    } catch (const aio::timeout_error&) {
        std::cout << "gave up after 10 ms\n";
    }
} // run() waits for the thread that is still looking

int main() { aio::run(amain()); }
