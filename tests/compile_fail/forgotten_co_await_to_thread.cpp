// SPDX-License-Identifier: BSL-1.0

// A to_thread that is not awaited would call nothing.

// expect: to_thread does nothing until it is awaited

#include <asynchio/thread/to_thread.hpp>

namespace aio = asynchio;

int work();

aio::task<> program() {
#ifdef ASYNCHIO_CORRECT
    co_await aio::to_thread(work);
#else
    aio::to_thread(work);
    co_return;
#endif
}
