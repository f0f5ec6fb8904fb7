// SPDX-License-Identifier: BSL-1.0

// The body takes what entering the resource gives, or nothing.

// expect: the body of with is an awaitable, or is called with what entering the resources gives

#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/with.hpp>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
aio::task<> body(aio::task_group& group);
#else
aio::task<> body(int number);
#endif

aio::task<> program() { co_await aio::with(aio::task_group(), body); }
