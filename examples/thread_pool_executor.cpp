// SPDX-License-Identifier: BSL-1.0

// A pool of your own limits how many calls of a kind run at once, here one: a printer. run_in_executor gives a future at
// once. A pool is a resource: with waits for its work without holding up the loop.
//
//     c++ -std=c++20 -pthread -Iinclude examples/thread_pool_executor.cpp -o thread_pool_executor
//
// Run: ./thread_pool_executor
// Prints:
//   3 jobs are queued
//   page 1
//   page 2
//   cancelled in the queue: yes
//   the printer is off
//
// Read next: parallel_for_pixels.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>

namespace aio = asynchio;
using namespace std::chrono_literals;

void print_page(int number) {
    std::this_thread::sleep_for(20ms);
    std::cout << "page " << number << '\n'; // alone: the pool has one thread
}

aio::task<> print_all(aio::thread_pool& printer) {
    const auto first = aio::run_in_executor(printer, print_page, 1);
    const auto second = aio::run_in_executor(printer, print_page, 2);
    const auto third = aio::run_in_executor(printer, print_page, 3);
    std::cout << "3 jobs are queued\n";
    third.cancel(); // has not begun: never will
    co_await first;
    co_await second;
    std::cout << "cancelled in the queue: " << (third.cancelled() ? "yes\n" : "no\n");
}

aio::task<> use_printer() {
    aio::thread_pool printer(1);
    co_await aio::with(printer, print_all(printer));
    std::cout << "the printer is off\n";
}

int main() { aio::run(use_printer()); }
