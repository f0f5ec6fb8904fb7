// SPDX-License-Identifier: BSL-1.0

// gather gives results, which an any_task_handle does not know.

// expect: pass the task_handle<T> itself, not an any_task_handle

#include <asynchio/combine/gather.hpp>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
aio::task<> program(aio::task_handle<int> handle) { co_await aio::gather(handle); }
#else
aio::task<> program(aio::any_task_handle handle) { co_await aio::gather(handle); }
#endif
