// SPDX-License-Identifier: BSL-1.0

// A callable that returns no awaitable is no coroutine.

// expect: the callable must return a task or another awaitable; for a plain blocking call use to_thread

#include <asynchio/task/create_task.hpp>

namespace aio = asynchio;

void program() {
#ifdef ASYNCHIO_CORRECT
    aio::create_task([]() -> aio::task<int> { co_return 1; });
#else
    aio::create_task([] { return 1; });
#endif
}
