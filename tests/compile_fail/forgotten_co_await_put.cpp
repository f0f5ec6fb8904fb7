// SPDX-License-Identifier: BSL-1.0

// A put that is not awaited puts nothing.

// expect: the item is put only when this is awaited

#include <asynchio/sync/queue.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::queue<int>& q) {
#ifdef ASYNCHIO_CORRECT
    co_await q.put(1);
#else
    q.put(1);
    co_return;
#endif
}
