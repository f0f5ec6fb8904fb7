// SPDX-License-Identifier: BSL-1.0

// With handle_sigint the first Ctrl-C cancels the main task, so that everything is cleaned up, and run throws
// keyboard_interrupt; a second one kills. Other signals are calls of the loop.
//
// Without an argument it waits for you to press Ctrl-C; with one it does that itself after so many seconds.
//
//     c++ -std=c++20 -pthread -Iinclude examples/signals_ctrl_c.cpp -o signals_ctrl_c
//
// Run: ./signals_ctrl_c 0.1
// Prints:
//   press Ctrl-C
//   SIGUSR1: still working
//   saving the work
//   interrupted
//
// Test: exit 130
//
// Read next: to_thread_blocking.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> save() {
    std::cout << "saving the work\n";
    co_await aio::sleep(10ms);
}

aio::task<> work(std::chrono::duration<double> own_signals) {
    auto& loop = aio::get_running_loop();
    loop.add_signal_handler(SIGUSR1, [] { std::cout << "SIGUSR1: still working" << std::endl; });
    if (own_signals > 0s) {
        loop.call_later(0.5 * own_signals, [] { std::raise(SIGUSR1); });
        loop.call_later(own_signals, [] { std::raise(SIGINT); });
    }
    std::cout << "press Ctrl-C" << std::endl;
    co_await aio::finally(aio::sleep(24h), save);
}

int main(int count, char** words) {
    const std::chrono::duration<double> own_signals(count > 1 ? std::atof(words[1]) : 0);
    try {
        aio::run(work(own_signals), {.handle_sigint = true});
    } catch (const aio::keyboard_interrupt&) {
        std::cout << "interrupted\n";
        return 130; // what shells expect
    }
}
