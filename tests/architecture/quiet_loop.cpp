// SPDX-License-Identifier: BSL-1.0

// For quiet_loop.py: a loop that only switches tasks, N times, or only sleeps in virtual or real time.

#include <asynchio/task.hpp>

#include <chrono>
#include <cstdlib>
#include <string_view>

namespace aio = asynchio;
using namespace std::chrono_literals;

static aio::task<> switch_tasks(long times) {
    for (long i = 0; i < times; ++i) co_await aio::yield();
}

static aio::task<> busy(long times) {
    const auto other = aio::create_task(switch_tasks(times));
    co_await switch_tasks(times);
    co_await other;
}

static aio::task<> idle(long milliseconds) {
    const auto far = aio::create_task(aio::sleep(1h));
    co_await aio::sleep(1ms * milliseconds);
    far.cancel();
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const long number = std::atol(argv[2]);
    aio::run(std::string_view(argv[1]) == "busy" ? busy(number) : idle(number));
}
