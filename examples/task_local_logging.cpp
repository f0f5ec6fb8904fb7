// SPDX-License-Identifier: BSL-1.0

// A context_var belongs to the task, not to the thread: every line that is logged knows its request, however deep, in
// whatever thread, and although many requests take turns on one loop.
//
//     c++ -std=c++20 -pthread -Iinclude examples/task_local_logging.cpp -o task_local_logging
//
// Run: ./task_local_logging
// Prints:
//   [-] server starts
//   [request 1] begins
//   [request 2] begins
//   [request 2] hashed in a thread
//   [request 2] stored by a child task
//   [request 2] ends
//   [request 1] hashed in a thread
//   [request 1] stored by a child task
//   [request 1] ends
//   [-] server ends
//
// Read next: to_thread_blocking.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <string_view>

namespace aio = asynchio;
using namespace std::chrono_literals;

const aio::context_var<std::string> request("request", "-");

void log(std::string_view what) { std::cout << '[' << request.get() << "] " << what << '\n'; }

aio::task<> store() {
    co_await aio::sleep(1ms);
    log("stored by a child task");
}

void hash() { log("hashed in a thread"); }

aio::task<> handle(int number, aio::duration arrives) {
    request.set("request " + std::to_string(number)); // seen by this task and what it starts, by nobody else
    log("begins");
    co_await aio::sleep(arrives);
    co_await aio::to_thread(hash);
    co_await aio::create_task(store());
    log("ends");
}

aio::task<> serve() {
    log("server starts");
    co_await aio::gather(handle(1, 200ms), handle(2, 10ms));
    log("server ends");
}

int main() { aio::run(serve()); }
