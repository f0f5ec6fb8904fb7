// SPDX-License-Identifier: BSL-1.0

// A read that is not awaited reads nothing.

// expect: reading begins only when this is awaited

#include <asynchio/io/stream.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::stream& s) {
#ifdef ASYNCHIO_CORRECT
    co_await s.read_line();
#else
    s.read_line();
    co_return;
#endif
}
