// SPDX-License-Identifier: BSL-1.0

// An item must be of the queue's type, or make one.

// expect: put: the queue's items cannot be made of this

#include <asynchio/sync/queue.hpp>
#include <asynchio/task/task.hpp>

#include <string>

namespace aio = asynchio;

aio::task<> program(aio::queue<std::string>& q) {
#ifdef ASYNCHIO_CORRECT
    co_await q.put("1");
#else
    co_await q.put(1.5);
#endif
}
