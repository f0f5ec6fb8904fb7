// SPDX-License-Identifier: BSL-1.0

// What a callback is called with by reference is gone when the task runs.

// expect: the result of a completion is an object or void

#include <asynchio/task/completion.hpp>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
using wanted = aio::completion<int*>;
#else
using wanted = aio::completion<int&>;
#endif

aio::completion_callback<wanted::value_type> callback_of(const wanted& c) { return c.callback(); }
