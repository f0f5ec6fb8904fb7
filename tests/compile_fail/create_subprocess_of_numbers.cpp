// SPDX-License-Identifier: BSL-1.0

// The words of a command are texts.

// expect: no matching function

#include <asynchio/io/process.hpp>

namespace aio = asynchio;

aio::task<> program() {
#ifdef ASYNCHIO_CORRECT
    co_await aio::create_subprocess("sleep", "60");
#else
    co_await aio::create_subprocess("sleep", 60);
#endif
}
