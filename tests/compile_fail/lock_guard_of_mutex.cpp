// SPDX-License-Identifier: BSL-1.0

// A std::lock_guard cannot wait for a mutex of tasks: it would hold nothing.

// expect: lock
// expect: asynchio::mutex

#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/task.hpp>

#include <mutex>

namespace aio = asynchio;

aio::task<> program(aio::mutex& m) {
#ifdef ASYNCHIO_CORRECT
    const auto guard = co_await m.scoped_acquire();
#else
    const std::lock_guard<aio::mutex> guard(m);
    co_return;
#endif
}
