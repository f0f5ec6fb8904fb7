// SPDX-License-Identifier: BSL-1.0

// finally runs a cleanup that awaits, on every path out of the body. C++ can await neither in a destructor nor in a
// catch block.
//
//     c++ -std=c++20 -pthread -Iinclude examples/finally_cleanup.cpp -o finally_cleanup
//
// Run: ./finally_cleanup
// Prints:
//   sent: hello
//   sent: bye
//   the first call is over
//   sent: hello
//   sent: bye
//   the second call was cancelled, and said bye
//
// Read next: wait_for_deadline.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> send(std::string text) {
    co_await aio::yield();
    std::cout << "sent: " << text << '\n';
}

aio::task<> talk(std::chrono::milliseconds pause) {
    co_await send("hello");
    co_await aio::sleep(pause);
}

aio::task<> call(std::chrono::milliseconds pause) { co_await aio::finally(talk(pause), send("bye")); }

aio::task<> show_calls() {
    co_await call(1ms);
    std::cout << "the first call is over\n";

    const auto endless = aio::create_task(call(std::chrono::milliseconds(1h)));
    co_await aio::sleep(20ms);
    endless.cancel();
    try {
        co_await endless;
    } catch (const aio::cancelled_error&) {
        std::cout << "the second call was cancelled, and said bye\n";
    }
}

int main() { aio::run(show_calls()); }
