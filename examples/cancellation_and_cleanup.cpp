// SPDX-License-Identifier: BSL-1.0

// cancel() asks a task to stop: at its next suspension it sees cancelled_error. Destructors run as for every exception.
// cancelled_error is no std::exception, so a broad catch does not swallow it.
//
//     c++ -std=c++20 -pthread -Iinclude examples/cancellation_and_cleanup.cpp -o cancellation_and_cleanup
//
// Run: ./cancellation_and_cleanup
// Prints:
//   worker: begins
//   worker: a broad catch does not see the cancellation
//   worker: cleans up (reason: closing time)
//   worker: its lock is released
//   cancelled: yes
//   stubborn: not yet
//   stubborn: done after all
//   cancelled: no
//
// Read next: shield_commit.cpp

#include <asynchio/task.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <utility>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct lock {
    lock() = default;
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;
    ~lock() { std::cout << "worker: its lock is released\n"; }
};

aio::task<> worker() {
    const lock held;
    std::cout << "worker: begins\n";
    try {
        try {
            co_await aio::sleep(1h);
        } catch (const std::exception&) {
            std::cout << "not reached\n";
        }
    } catch (const aio::cancelled_error& e) {
        std::cout << "worker: a broad catch does not see the cancellation\n";
        std::cout << "worker: cleans up (reason: " << e.message() << ")\n";
        throw; // almost always right
    }
}

aio::task<> stubborn() {
    try {
        co_await aio::sleep(1h);
    } catch (const aio::cancelled_error&) {
        std::cout << "stubborn: not yet\n"; // swallows the request: the task goes on
    }
    co_await aio::sleep(10ms);
    std::cout << "stubborn: done after all\n";
}

aio::task<> cancel_soon(aio::task<> work) {
    const auto handle = aio::create_task(std::move(work));
    co_await aio::sleep(10ms);
    handle.cancel("closing time");
    const auto ended = co_await aio::nothrow(handle);
    std::cout << "cancelled: " << (ended.cancelled() ? "yes\n" : "no\n");
}

aio::task<> show_cancellation() {
    co_await cancel_soon(worker());
    co_await cancel_soon(stubborn());
}

int main() { aio::run(show_cancellation()); }
