// SPDX-License-Identifier: BSL-1.0

// A task that is called and not awaited would never run.

// expect: a task does nothing until it is awaited

#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> step();

aio::task<> program() {
#ifdef ASYNCHIO_CORRECT
    co_await step();
#else
    step();
    co_return;
#endif
}
