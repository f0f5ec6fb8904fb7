// SPDX-License-Identifier: BSL-1.0

// One loop per thread, sharing nothing: what a program does that one core is not enough for. A task stays on the loop it
// was given to, so within a loop nothing needs a lock; results come back as futures.
//
//     c++ -std=c++20 -pthread -Iinclude examples/loops_on_all_cores.cpp -o loops_on_all_cores
//
// Run: ./loops_on_all_cores
// Prints:
//   4 loops on 4 threads
//   loop 0 served 250 clients
//   loop 1 served 250 clients
//   loop 2 served 250 clients
//   loop 3 served 250 clients
//   1000 replies add up to 499500
//   left behind: cancelled with its loop
//
// Read next: std_future_bridge.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <cstddef>
#include <iostream>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

thread_local int served = 0; // of this loop: no lock, no atomic

aio::task<int> serve(int client) {
    co_await aio::sleep(1ms); // all clients of a loop wait at the same time
    ++served;
    co_return client;
}

aio::task<int> served_here() { co_return served; }

aio::task<> use(aio::loop_group& loops) {
    std::cout << loops.size() << " loops on " << loops.size() << " threads\n";
    std::vector<aio::future<int>> replies;
    replies.reserve(1000);
    for (int client = 0; client < 1000; ++client)
        replies.push_back(aio::wrap_future(loops.submit(serve, client))); // on each loop in turn
    int sum = 0;
    for (const auto& each : replies) sum += co_await each;
    for (std::size_t i = 0; i < loops.size(); ++i) {
        const int clients = co_await aio::wrap_future(loops.submit(i, served_here));
        std::cout << "loop " << i << " served " << clients << " clients\n";
    }
    std::cout << replies.size() << " replies add up to " << sum << '\n';
}

aio::task<> amain() {
    aio::loop_group loops(4); // without a number: one for each core
    const auto endless = loops.submit(0, aio::sleep(1h));
    co_await aio::with(loops, use(loops)); // ends them together, without blocking this loop
    std::cout << "left behind: " << (endless.cancelled() ? "cancelled with its loop\n" : "still runs\n");
}

int main() { aio::run(amain()); }
