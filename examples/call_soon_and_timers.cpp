// SPDX-License-Identifier: BSL-1.0

// Below the tasks is a loop that makes calls: in the next iteration, or at a time. Handles take calls back. What a call
// throws goes to the exception handler.
//
//     c++ -std=c++20 -pthread -Iinclude examples/call_soon_and_timers.cpp -o call_soon_and_timers
//
// Run: ./call_soon_and_timers
// Prints:
//   now
//   soon: 1
//   soon: 2
//   later: 20 ms
//   later: 40 ms
//   reported: Exception in callback
//
// Read next: fd_watcher_library.cpp

#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <stdexcept>

namespace aio = asynchio;
using namespace std::chrono_literals;

void report(aio::event_loop&, const aio::exception_context& context) {
    std::cout << "reported: " << context.message << '\n';
}

aio::task<> make_calls() {
    auto& loop = aio::get_running_loop();
    loop.set_exception_handler(report);

    loop.call_later(40ms, [] { std::cout << "later: 40 ms\n"; });
    loop.call_at(loop.time() + 20ms, [] { std::cout << "later: 20 ms\n"; });
    loop.call_soon([](int n) { std::cout << "soon: " << n << '\n'; }, 1); // arguments are copied
    loop.call_soon([] { std::cout << "soon: 2\n"; });

    auto never = loop.call_later(1ms, [] { std::cout << "never\n"; });
    never.cancel();

    std::cout << "now\n";
    co_await aio::sleep(100ms);
    loop.call_soon([] { throw std::runtime_error("a call that fails"); });
    co_await aio::yield();
}

int main() { aio::run(make_calls()); }
