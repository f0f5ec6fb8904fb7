// SPDX-License-Identifier: BSL-1.0

// A get that is not awaited would take nothing.

// expect: get does nothing until it is awaited

#include <asynchio/task/task.hpp>
#include <asynchio/thread/threadsafe_queue.hpp>

namespace aio = asynchio;

aio::task<> program(aio::threadsafe_queue<int>& queue) {
#ifdef ASYNCHIO_CORRECT
    co_await queue.get();
#else
    queue.get();
    co_return;
#endif
}
