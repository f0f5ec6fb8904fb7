// SPDX-License-Identifier: BSL-1.0

// An aclose() that is not awaited closes nothing.

// expect: aclose\(\) does nothing until it is awaited

#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::async_generator<int>& stream) {
#ifdef ASYNCHIO_CORRECT
    co_await stream.aclose();
#else
    stream.aclose();
    co_return;
#endif
}
