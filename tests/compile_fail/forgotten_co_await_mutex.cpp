// SPDX-License-Identifier: BSL-1.0

// An acquire that is not awaited locks nothing.

// expect: the mutex is locked only when this is awaited

#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::mutex& m) {
#ifdef ASYNCHIO_CORRECT
    co_await m.acquire();
#else
    m.acquire();
    co_return;
#endif
}
