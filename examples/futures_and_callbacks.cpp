// SPDX-License-Identifier: BSL-1.0

// A future is a result that somebody will set: the bridge from callbacks to coroutines. Wrap a callback interface once,
// and await it from then on.
//
//     c++ -std=c++20 -pthread -Iinclude examples/futures_and_callbacks.cpp -o futures_and_callbacks
//
// Run: ./futures_and_callbacks
// Prints:
//   waiting for the oven
//   the oven calls back: 180 degrees
//   both tasks know: 180 180
//   the oven is broken: no power
//
// Read next: completion_of_callback.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <tuple>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// Somebody else's interface: calls back when it is done.
void heat_oven(bool has_power, std::function<void(int)> on_ready, std::function<void(const char*)> on_error) {
    auto& loop = aio::get_running_loop();
    if (has_power)
        loop.call_later(50ms, on_ready, 180);
    else
        loop.call_soon(on_error, "no power");
}

/// Heats the oven, for a task that awaits it.
aio::future<int> heat_oven(bool has_power) {
    const aio::future<int> degrees;
    heat_oven(
        has_power, [degrees](int d) { degrees.set_result(d); },
        [degrees](const char* why) { degrees.set_exception(std::runtime_error(why)); });
    return degrees;
}

aio::task<int> wait_for_oven(aio::future<int> oven) {
    co_return co_await oven; // any number of tasks may await it
}

aio::task<> bake() {
    const auto oven = heat_oven(true);
    oven.add_done_callback(
        [](const aio::future<int>& done) { std::cout << "the oven calls back: " << done.result() << " degrees\n"; });
    std::cout << "waiting for the oven\n";
    const auto both = co_await aio::gather(wait_for_oven(oven), wait_for_oven(oven));
    std::cout << "both tasks know: " << std::get<0>(both) << ' ' << std::get<1>(both) << '\n';
    try {
        co_await heat_oven(false);
    } catch (const std::runtime_error& e) {
        std::cout << "the oven is broken: " << e.what() << '\n';
    }
}

int main() { aio::run(bake()); }
