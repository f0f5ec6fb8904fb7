// SPDX-License-Identifier: BSL-1.0

// A std::unique_lock cannot wait for the mutex of a condition: it would hold nothing.

// expect: lock
// expect: asynchio::condition

#include <asynchio/sync/condition.hpp>
#include <asynchio/task/task.hpp>

#include <mutex>

namespace aio = asynchio;

aio::task<> program(aio::condition& c) {
#ifdef ASYNCHIO_CORRECT
    const auto guard = co_await c.scoped_acquire();
#else
    const std::unique_lock<aio::condition> guard(c);
    co_return;
#endif
}
