// SPDX-License-Identifier: BSL-1.0

// Only awaitables can be awaited.

// expect: await_ready|operator co_await|not.*awaitable

#include <asynchio/task/sleep.hpp>
#include <asynchio/task/task.hpp>

#include <chrono>

namespace aio = asynchio;

aio::task<> program() {
    constexpr std::chrono::seconds pause(1);
#ifdef ASYNCHIO_CORRECT
    co_await aio::sleep(pause);
#else
    co_await pause;
#endif
}
