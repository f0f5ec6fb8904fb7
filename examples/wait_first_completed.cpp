// SPDX-License-Identifier: BSL-1.0

// wait watches handles without touching them: it returns when the first, or all, are done or time is up, and cancels
// nothing. What is still pending is yours.
//
//     c++ -std=c++20 -pthread -Iinclude examples/wait_first_completed.cpp -o wait_first_completed
//
// Run: ./wait_first_completed
// Prints:
//   done: fast (10)
//   pending: 2
//   after another 200 ms: 1 done, 1 pending
//   the slowest was cancelled
//
// Read next: as_completed_downloads.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<int> work(std::chrono::milliseconds time, int result) {
    co_await aio::sleep(time);
    co_return result;
}

aio::task<> watch() {
    std::vector<aio::task_handle<int>> handles;
    handles.push_back(aio::create_task(work(10ms, 10), "fast"));
    handles.push_back(aio::create_task(work(100ms, 20), "slow"));
    handles.push_back(aio::create_task(work(1h, 30), "slowest"));

    const auto first = co_await aio::wait(handles, aio::first_completed);
    std::cout << "done: " << first.done[0].name() << " (" << first.done[0].result() << ")\n";
    std::cout << "pending: " << first.pending.size() << '\n';

    const auto then = co_await aio::wait(first.pending, aio::all_completed, 200ms);
    std::cout << "after another 200 ms: " << then.done.size() << " done, " << then.pending.size() << " pending\n";

    const auto& slowest = then.pending[0];
    slowest.cancel();
    co_await aio::wait(slowest);
    std::cout << "the slowest was " << (slowest.cancelled() ? "cancelled" : "done") << '\n';
}

int main() { aio::run(watch()); }
