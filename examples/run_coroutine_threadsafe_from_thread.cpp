// SPDX-License-Identifier: BSL-1.0

// run_coroutine_threadsafe starts a coroutine on a loop from another thread, and gives a future that the thread can wait
// for. A loop_ref may be held on any thread, also when the loop is gone.
//
//     c++ -std=c++20 -pthread -Iinclude examples/run_coroutine_threadsafe_from_thread.cpp -o run_coroutine_threadsafe_from_thread
//
// Run: ./run_coroutine_threadsafe_from_thread
// Prints:
//   thread: asks the loop
//   loop: adds 2 and 3
//   thread: got 5
//   thread: cancelled what took too long
//   loop: the thread is done
//   after the end: Event loop is closed
//
// Read next: futures_and_callbacks.cpp

#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<int> add(int a, int b) {
    std::cout << "loop: adds " << a << " and " << b << '\n';
    co_await aio::sleep(1ms);
    co_return a + b;
}

void use_loop(aio::loop_ref loop, aio::future<>& done) {
    std::cout << "thread: asks the loop\n";
    const int sum = aio::run_coroutine_threadsafe(add(2, 3), loop).get(); // blocks this thread only
    std::cout << "thread: got " << sum << '\n';

    const auto slow = aio::run_coroutine_threadsafe(aio::sleep(1h), loop);
    if (!slow.wait_for(20ms) && slow.cancel()) std::cout << "thread: cancelled what took too long\n";

    loop.call_soon_threadsafe([&done] { done.set_result(); }); // futures are touched on their loop only
}

aio::task<aio::loop_ref> serve() {
    const aio::loop_ref self = aio::get_running_loop().ref();
    aio::future<> done;
    std::thread user(use_loop, self, std::ref(done));
    co_await done;
    user.join();
    std::cout << "loop: the thread is done\n";
    co_return self;
}

int main() {
    const aio::loop_ref gone = aio::run(serve());
    try {
        gone.call_soon_threadsafe([] {});
    } catch (const std::logic_error& e) {
        const std::string what = e.what();
        std::cout << "after the end: " << what.substr(what.find(": ") + 2) << '\n';
    }
}
