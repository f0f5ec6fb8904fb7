// SPDX-License-Identifier: BSL-1.0

// A task is awaited once and gives itself up.

// expect: write co_await std::move\(t\), or make it a handle with create_task

#include <asynchio/task/task.hpp>

#include <utility>

namespace aio = asynchio;

aio::task<int> step();

aio::task<int> program() {
    auto t = step();
#ifdef ASYNCHIO_CORRECT
    co_return co_await std::move(t);
#else
    co_return co_await t;
#endif
}
