// SPDX-License-Identifier: BSL-1.0

// A next() that is not awaited asks for nothing.

// expect: next\(\) does nothing until it is awaited

#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::async_generator<int>& stream) {
#ifdef ASYNCHIO_CORRECT
    co_await stream.next();
#else
    stream.next();
    co_return;
#endif
}
