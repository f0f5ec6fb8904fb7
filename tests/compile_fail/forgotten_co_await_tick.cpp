// SPDX-License-Identifier: BSL-1.0

// A tick that is not awaited is not waited for.

// expect: waiting begins only when this is awaited

#include <asynchio/task/interval.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::interval& ticks) {
#ifdef ASYNCHIO_CORRECT
    co_await ticks.next();
#else
    ticks.next();
    co_return;
#endif
}
