// SPDX-License-Identifier: BSL-1.0

// Several children of a task_group can fail; their errors leave as one exception_group. Ask it what it contains, split
// off what you can deal with, and throw the rest.
//
//     c++ -std=c++20 -pthread -Iinclude examples/exception_group_handling.cpp -o exception_group_handling
//
// Run: ./exception_group_handling
// Prints:
//   unhandled errors in a TaskGroup (3 exceptions): no route; disk full; no route
//   network errors: 2
//   left over: unhandled errors in a TaskGroup (1 exception): disk full
//
// Read next: with_resource.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <iostream>
#include <stdexcept>
#include <string>

namespace aio = asynchio;
struct network_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

aio::task<> copy(bool over_network) {
    co_await aio::yield();
    if (over_network) throw network_error("no route");
    throw std::runtime_error("disk full");
}

aio::task<> copy_all(aio::task_group& group) {
    group.create_task(copy(true));
    group.create_task(copy(false));
    group.create_task(copy(true)); // fails in the same moment as the others
    co_return;
}

aio::task<> back_up() {
    try {
        co_await aio::with(aio::task_group(), copy_all);
    } catch (const aio::exception_group& errors) {
        std::cout << errors.what() << '\n';
        const auto parts = errors.split<network_error>();
        const auto& [network, rest] = parts;
        if (network) std::cout << "network errors: " << network->exceptions().size() << '\n';
        if (rest) throw aio::exception_group(*rest);
    }
}

aio::task<> show_errors() {
    try {
        co_await back_up();
    } catch (const aio::exception_group& errors) {
        std::cout << "left over: " << errors.what() << '\n';
    }
}

int main() { aio::run(show_errors()); }
