// SPDX-License-Identifier: BSL-1.0

// A put that is not awaited would put nothing in.

// expect: put does nothing until it is awaited

#include <asynchio/task/task.hpp>
#include <asynchio/thread/threadsafe_queue.hpp>

namespace aio = asynchio;

aio::task<> program(aio::threadsafe_queue<int>& queue) {
#ifdef ASYNCHIO_CORRECT
    co_await queue.put(1);
#else
    queue.put(1);
    co_return;
#endif
}
