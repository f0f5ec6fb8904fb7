// SPDX-License-Identifier: BSL-1.0

// An acquire that is not awaited takes no permit.

// expect: a permit is taken only when this is awaited

#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::semaphore& s) {
#ifdef ASYNCHIO_CORRECT
    co_await s.acquire();
#else
    s.acquire();
    co_return;
#endif
}
