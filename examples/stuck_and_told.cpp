// SPDX-License-Identifier: BSL-1.0

// A program that can never go on says so instead of hanging: which task waits for what, at which line. In virtual time, as
// in tests, run throws; in real time the exception handler gets the same text, and print_call_graph shows the rest.
//
//     c++ -std=c++20 -pthread -Iinclude examples/stuck_and_told.cpp -o stuck_and_told
//
// Run: ./stuck_and_told
// Prints:
//   in virtual time:
//   deadlock: all 3 tasks wait and nothing can wake them
//     Task-1 waits for gather at stuck_and_told.cpp:60
//     Plato waits for mutex at stuck_and_told.cpp:50
//     Kant waits for mutex at stuck_and_told.cpp:50
//   in real time:
//   deadlock: all 3 tasks wait and nothing can wake them
//     Task-1 waits for gather at stuck_and_told.cpp:60
//     Plato waits for mutex at stuck_and_told.cpp:50
//     Kant waits for mutex at stuck_and_told.cpp:50
//     (a thread that is going to wake one holds a loop_ref, or it is not seen)
//   Plato, and who waits for him:
//   * Plato: waiting for mutex
//     + Call stack:
//     |   File 'stuck_and_told.cpp', line 50, in async dine()
//     + Awaited by:
//       * Task-1: waiting for gather
//         + Call stack:
//         |   File 'stuck_and_told.cpp', line 60, in async eat_together()
//
// Read next: dump_tasks_when_stuck.cpp

#include <asynchio/combine.hpp>
#include <asynchio/debug.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <iostream>
#include <sstream>
#include <string>

namespace aio = asynchio;

/// Paths depend on how a program was compiled, so only the names of files are printed here.
void print(const std::string& text);

/// Takes one fork, and then the one that the other philosopher has.
aio::task<> dine(aio::mutex& left, aio::mutex& right) {
    const auto one = co_await left.scoped_acquire();
    co_await aio::yield(); // thinks
    const auto other = co_await right.scoped_acquire();
}

aio::task_handle<> plato;

aio::task<> eat_together() {
    aio::mutex fork;
    aio::mutex other_fork;
    plato = aio::create_task(dine(fork, other_fork), "Plato");
    const auto kant = aio::create_task(dine(other_fork, fork), "Kant");
    co_await aio::gather(plato, kant);
}

int main() {
    try {
        aio::run(eat_together(), {.virtual_time = true});
    } catch (const aio::deadlock_error& stuck) {
        print(std::string("in virtual time:\n") + stuck.what() + "\n");
    }

    aio::event_loop loop;
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context& report) {
        std::ostringstream text;
        text << "in real time:\n" << report.message << "\nPlato, and who waits for him:\n";
        aio::print_call_graph(text, plato);
        print(text.str());
        plato.cancel(); // else the loop sleeps on, since a thread may have the loop itself
    });
    try {
        loop.run_until_complete(eat_together());
    } catch (const aio::cancelled_error&) { // Plato is
    }
    plato = {}; // before the loop ends
}

void print(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const auto slash = line.rfind('/');
        if (slash == std::string::npos) {
            std::cout << line << '\n';
            continue;
        }
        const auto begin = line.find_last_of(" '", slash);
        std::cout << line.substr(0, begin + 1) << line.substr(slash + 1) << '\n';
    }
}
