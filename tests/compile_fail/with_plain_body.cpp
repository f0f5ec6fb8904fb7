// SPDX-License-Identifier: BSL-1.0

// The body is a coroutine, or calls one.

// expect: the body of with must return an awaitable

#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/with.hpp>

#include <chrono>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
aio::task<int> body();
#else
int body();
#endif

aio::task<> program() { co_await aio::with(aio::timeout(std::chrono::seconds(1)), body); }
