// SPDX-License-Identifier: BSL-1.0

// What with() enters has to be something that can be left.

// expect: a resource of with has async_exit\(std::exception_ptr\) or aclose\(\)

#include <asynchio/combine/with.hpp>

namespace aio = asynchio;

struct thing {
#ifdef ASYNCHIO_CORRECT
    aio::task<> aclose();
#endif
    thing() = default;
    int value = 0;
};

aio::task<> body();

aio::task<> program(thing& it) { co_await aio::with(it, body); }
