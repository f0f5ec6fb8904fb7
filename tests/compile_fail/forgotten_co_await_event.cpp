// SPDX-License-Identifier: BSL-1.0

// A wait that is not awaited does not wait.

// expect: waiting begins only when this is awaited

#include <asynchio/sync/event.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::event& e) {
#ifdef ASYNCHIO_CORRECT
    co_await e.wait();
#else
    e.wait();
    co_return;
#endif
}
