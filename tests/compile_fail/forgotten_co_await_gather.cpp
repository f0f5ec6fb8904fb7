// SPDX-License-Identifier: BSL-1.0

// A gather that is not awaited would start nothing.

// expect: gather does nothing until it is awaited

#include <asynchio/combine/gather.hpp>

namespace aio = asynchio;

aio::task<> step();

aio::task<> program() {
#ifdef ASYNCHIO_CORRECT
    co_await aio::gather(step(), step());
#else
    aio::gather(step(), step());
    co_return;
#endif
}
