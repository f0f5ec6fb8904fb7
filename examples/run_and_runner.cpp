// SPDX-License-Identifier: BSL-1.0

// run is the way in: a loop is made, runs a task, and is ended whatever happens. A runner keeps one loop for several
// runs, between which what is left pauses; to begin and to end a run takes a turn each. What the main task throws, run
// throws.
//
//     c++ -std=c++20 -pthread -Iinclude examples/run_and_runner.cpp -o run_and_runner
//
// Run: ./run_and_runner
// Prints:
//   run gave 42
//   run threw: nothing to do
//   the background got to 3
//   the background got to 8
//   leftovers are cancelled at the end
//
// Read next: gather_results.cpp

#include <asynchio/task.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<int> answer() {
    co_await aio::sleep(1ms);
    co_return 42;
}

aio::task<> complain() {
    co_await aio::yield();
    throw std::runtime_error("nothing to do");
}

aio::task<> count_in_background(int& steps) {
    try {
        for (;; ++steps) co_await aio::yield();
    } catch (const aio::cancelled_error&) {
        std::cout << "leftovers are cancelled at the end\n";
        throw;
    }
}

aio::task<> three_turns() {
    for (int i = 0; i < 3; ++i) co_await aio::yield();
}

aio::task<> start(int& steps) {
    aio::create_task(count_in_background(steps));
    co_await three_turns();
}

int main() {
    std::cout << "run gave " << aio::run(answer()) << '\n';
    try {
        aio::run(complain());
    } catch (const std::exception& e) {
        std::cout << "run threw: " << e.what() << '\n';
    }
    int steps = 0;
    aio::runner two_runs;
    two_runs.run(start(steps));
    std::cout << "the background got to " << steps << '\n';
    two_runs.run(three_turns());
    std::cout << "the background got to " << steps << '\n';
}
