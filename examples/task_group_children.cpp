// SPDX-License-Identifier: BSL-1.0

// A task_group is a block that ends when all tasks created in it have ended. Children may refer to what lives around the
// block. If one fails, the others are cancelled.
//
//     c++ -std=c++20 -pthread -Iinclude examples/task_group_children.cpp -o task_group_children
//
// Run: ./task_group_children
// Prints:
//   3 workers added up 60
//   no survivors: 2 were told to stop
//
// Read next: start_in_group.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <stdexcept>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> add(int& sum, int amount) {
    co_await aio::sleep(std::chrono::milliseconds(amount));
    sum += amount;
}

aio::task<> run_until_told(int& told) {
    try {
        co_await aio::sleep(1h);
    } catch (const aio::cancelled_error&) {
        ++told;
        throw;
    }
}

aio::task<> fail() {
    co_await aio::sleep(10ms);
    throw std::runtime_error("out of paper");
}

aio::task<> show_groups() {
    int sum = 0;
    co_await aio::with(aio::task_group(), [&sum](aio::task_group& group) -> aio::task<> {
        for (const int amount : {10, 20, 30}) group.create_task(add(sum, amount));
        co_return; // the block waits for them
    });
    std::cout << "3 workers added up " << sum << '\n';

    int told = 0;
    try {
        co_await aio::with(aio::task_group(), [&told](aio::task_group& group) -> aio::task<> {
            group.create_task(run_until_told(told));
            group.create_task(run_until_told(told));
            group.create_task(fail());
            co_return;
        });
    } catch (const aio::exception_group&) {
        std::cout << "no survivors: " << told << " were told to stop\n";
    }
}

int main() { aio::run(show_groups()); }
