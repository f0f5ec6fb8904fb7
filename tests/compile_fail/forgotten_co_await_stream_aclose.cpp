// SPDX-License-Identifier: BSL-1.0

// A stream is closed when aclose() is awaited.

// expect: nothing happens before this is awaited

#include <asynchio/io/stream.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::stream& s) {
#ifdef ASYNCHIO_CORRECT
    co_await s.aclose();
#else
    s.aclose();
    co_return;
#endif
}
