// SPDX-License-Identifier: BSL-1.0

// shield keeps a cancellation away from something that must not stop in the middle. A task given as such is finished
// first, then the cancellation arrives; what stands behind a handle runs on while the waiting task leaves at once.
//
//     c++ -std=c++20 -pthread -Iinclude examples/shield_commit.cpp -o shield_commit
//
// Run: ./shield_commit
// Prints:
//   commit: half
//   commit: whole
//   the request was cancelled after its commit
//   the audit goes on: 7 lines
//
// Read next: nothrow_outcomes.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> commit() {
    std::cout << "commit: half\n";
    co_await aio::sleep(50ms);
    std::cout << "commit: whole\n";
}

aio::task<int> audit() {
    co_await aio::sleep(100ms);
    co_return 7;
}

aio::task<> serve_request() {
    co_await aio::shield(commit());
    std::cout << "not reached: the cancellation arrives at the end of the shield\n";
}

aio::task<> show_shields() {
    const auto request = aio::create_task(serve_request());
    co_await aio::sleep(10ms);
    request.cancel();
    co_await aio::wait(request);
    if (request.cancelled()) std::cout << "the request was cancelled after its commit\n";

    const auto lines = aio::create_task(audit());
    const bool in_time = co_await aio::with(aio::move_on_after(10ms), [&lines]() -> aio::task<> {
        co_await aio::shield(lines); // left at once when the time is up
    });
    const int read = co_await lines;
    if (!in_time) std::cout << "the audit goes on: " << read << " lines\n";
}

int main() { aio::run(show_shields()); }
