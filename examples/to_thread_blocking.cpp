// SPDX-License-Identifier: BSL-1.0

// to_thread runs a blocking call in a worker thread and awaits it: the loop stays free. A callable that takes a
// std::stop_token is told to stop when the task that awaits it is cancelled, and is waited for.
//
//     c++ -std=c++20 -pthread -Iinclude examples/to_thread_blocking.cpp -o to_thread_blocking
//
// Run: ./to_thread_blocking
// Prints:
//   the loop is free while the file is read
//   read 12 bytes
//   counted until stopped: yes
//   left behind: it owns what it touches
//
// Read next: thread_pool_executor.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

namespace aio = asynchio;
using namespace std::chrono_literals;

std::string read_file(std::string content) {
    std::this_thread::sleep_for(50ms); // a disk
    return content;
}

long count_until_stopped(std::stop_token stop, bool& stopped) {
    long n = 0;
    while (!stop.stop_requested()) ++n;
    stopped = true;
    return n;
}

int hang_for_a_while(std::shared_ptr<int> owned) {
    std::this_thread::sleep_for(200ms); // nothing can interrupt this
    return *owned;
}

aio::task<> use_threads() {
    const auto reading = aio::create_task(aio::to_thread(read_file, std::string("some content")));
    co_await aio::sleep(10ms);
    if (!reading.done()) std::cout << "the loop is free while the file is read\n";
    const std::string text = co_await reading;
    std::cout << "read " << text.size() << " bytes\n";

    bool stopped = false; // may be referenced: the call is over when this line is
    co_await aio::with(aio::move_on_after(20ms), aio::to_thread(count_until_stopped, std::ref(stopped)));
    std::cout << "counted until stopped: " << (stopped ? "yes\n" : "no\n");

    const bool in_time = co_await aio::with(aio::move_on_after(20ms), [owned = 7]() -> aio::task<> {
        co_await aio::to_thread(aio::abandon_on_cancel, hang_for_a_while, std::make_shared<int>(owned));
    });
    if (!in_time) std::cout << "left behind: it owns what it touches\n";
}

int main() { aio::run(use_threads()); }
