// SPDX-License-Identifier: BSL-1.0

// A loop without run: to drive it yourself, to embed it, or to let callbacks decide when it stops.
//
//     c++ -std=c++20 -pthread -Iinclude examples/event_loop_by_hand.cpp -o event_loop_by_hand
//
// Run: ./event_loop_by_hand
// Prints:
//   the task gave 3
//   tick tick tick
//   stopped
//   after close: Event loop is closed
//
// Read next: guest_in_poll.cpp

#include <asynchio/task.hpp>

#include <chrono>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<int> three() {
    co_await aio::sleep(1ms);
    co_return 3;
}

void tick(aio::event_loop& loop, int left) {
    std::cout << "tick" << (left > 1 ? " " : "\n");
    if (left > 1)
        loop.call_later(10ms, tick, std::ref(loop), left - 1);
    else
        loop.stop();
}

int main() {
    aio::event_loop loop;
    std::cout << "the task gave " << loop.run_until_complete(three()) << '\n';

    loop.call_soon(tick, std::ref(loop), 3);
    loop.run_forever(); // until stop()
    std::cout << "stopped\n";

    loop.close(); // the destructor would do it too
    try {
        loop.call_soon(tick, std::ref(loop), 1);
    } catch (const std::logic_error& e) {
        const std::string what = e.what();
        std::cout << "after close: " << what.substr(what.find(": ") + 2) << '\n';
    }
}
