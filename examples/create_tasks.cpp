// SPDX-License-Identifier: BSL-1.0

// create_task runs a task beside its creator. The handle that it gives can be awaited, asked and dropped; the loop owns
// the task. Callables work too, and are kept as long as the task runs: a lambda with captures is safe here.
//
//     c++ -std=c++20 -pthread -Iinclude examples/create_tasks.cpp -o create_tasks
//
// Run: ./create_tasks
// Prints:
//   created
//   tea: started
//   toast: started
//   toast: ready
//   tea: ready
//   toast had 2 slices, tea took 150 ms
//
// Read next: sleep_and_yield.cpp

#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<std::chrono::milliseconds> brew() {
    std::cout << "tea: started\n";
    co_await aio::sleep(150ms);
    std::cout << "tea: ready\n";
    co_return 150ms;
}

aio::task<> breakfast() {
    const aio::task_handle<std::chrono::milliseconds> tea = aio::create_task(brew(), "tea");

    auto slices = std::make_unique<int>(2);
    const auto toast = aio::create_task([slices = std::move(slices)]() -> aio::task<int> {
        std::cout << "toast: started\n";
        co_await aio::sleep(50ms);
        std::cout << "toast: ready\n";
        co_return *slices; // alive: the task keeps its callable
    });
    std::cout << "created\n"; // both take their first step when this task waits

    const int eaten = co_await toast;
    const auto time = co_await tea; // any number of tasks may await a handle, also when it is done
    std::cout << "toast had " << eaten << " slices, " << tea.name() << " took " << time.count() << " ms\n";
}

int main() { aio::run(breakfast()); }
