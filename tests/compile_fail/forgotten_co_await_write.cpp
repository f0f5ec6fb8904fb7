// SPDX-License-Identifier: BSL-1.0

// A write that is not awaited writes nothing.

// expect: writing begins only when this is awaited

#include <asynchio/io/stream.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::stream& s) {
#ifdef ASYNCHIO_CORRECT
    co_await s.write("text");
#else
    s.write("text");
    co_return;
#endif
}
