// SPDX-License-Identifier: BSL-1.0

// Which task waits for which? dump_tasks prints every one with where it was created, what it waits for, and its chain of
// coroutines, as function and line, in every build. Call it from a timer, a signal handler or a debugger.
//
//     c++ -std=c++20 -pthread -Iinclude examples/dump_tasks_when_stuck.cpp -o dump_tasks_when_stuck
//
// Run: ./dump_tasks_when_stuck
// Prints:
//   Task-1: running
//   Plato: waiting for shield
//       dine dump_tasks_when_stuck.cpp:36
//       take_fork dump_tasks_when_stuck.cpp:33
//   Kant: waiting for shield
//       dine dump_tasks_when_stuck.cpp:36
//       take_fork dump_tasks_when_stuck.cpp:33
//
// Read next: take_and_lambdas.cpp

#include <asynchio/combine.hpp>
#include <asynchio/debug.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <sstream>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// Two philosophers: each takes the fork that the other one has to lay down first.
aio::task<> take_fork(aio::future<> fork) { co_await aio::shield(fork); }

aio::task<> dine(aio::future<> left, aio::future<> right) {
    co_await take_fork(left);
    right.set_result();
}

/// Paths depend on how a program was compiled, so only the names of files are printed here.
void print(const std::string& dump) {
    std::istringstream lines(dump);
    for (std::string line; std::getline(lines, line);) {
        if (line.find("created at") != std::string::npos) continue;
        const auto slash = line.rfind('/');
        const auto space = line.rfind(' ', slash);
        std::cout << (slash == std::string::npos ? line : line.substr(0, space + 1) + line.substr(slash + 1)) << '\n';
    }
}

aio::task<> watch() {
    const aio::future<> one;
    const aio::future<> other;
    aio::create_task(dine(one, other), "Plato");
    aio::create_task(dine(other, one), "Kant");
    co_await aio::sleep(50ms); // by now they should have eaten
    std::ostringstream dump;
    aio::dump_tasks(dump);
    print(dump.str());
}

int main() { aio::run(watch()); }
