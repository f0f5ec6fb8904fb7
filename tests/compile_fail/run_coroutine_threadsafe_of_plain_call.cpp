// SPDX-License-Identifier: BSL-1.0

// What is to run on a loop is a coroutine; a plain call goes there with call_soon_threadsafe.

// expect: the callable must return a task or another awaitable

#include <asynchio/thread/run_coroutine_threadsafe.hpp>

namespace aio = asynchio;

void program(const aio::loop_ref& loop) {
#ifdef ASYNCHIO_CORRECT
    loop.call_soon_threadsafe([] {});
#else
    aio::run_coroutine_threadsafe([] { return 1; }, loop);
#endif
}
