// SPDX-License-Identifier: BSL-1.0

// A task is a coroutine: it does nothing until it is awaited, may wait without holding up others, and gives a result.
//
//     c++ -std=c++20 -pthread -Iinclude examples/hello_task.cpp -o hello_task
//
// Run: ./hello_task
// Prints:
//   one moment ...
//   Hello, world!
//
// Read next: create_tasks.cpp

#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<std::string> greet(std::string name) {
    co_await aio::sleep(10ms); // stands for anything that takes time
    co_return "Hello, " + name + "!";
}

aio::task<> hello() {
    aio::task<std::string> greeting = greet("world"); // nothing runs yet
    std::cout << "one moment ...\n";
    std::cout << co_await std::move(greeting) << '\n'; // a task is awaited once, and given up by that
}

int main() { aio::run(hello()); }
