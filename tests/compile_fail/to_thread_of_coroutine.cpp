// SPDX-License-Identifier: BSL-1.0

// A coroutine function called in a thread would give a task that nobody runs.

// expect: the callable of to_thread is a plain blocking call

#include <asynchio/task/create_task.hpp>
#include <asynchio/thread/to_thread.hpp>

namespace aio = asynchio;

aio::task<int> step();

aio::task<int> program() {
#ifdef ASYNCHIO_CORRECT
    co_return co_await aio::create_task(step);
#else
    co_return co_await aio::to_thread(step);
#endif
}
