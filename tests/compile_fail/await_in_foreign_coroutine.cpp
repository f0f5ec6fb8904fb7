// SPDX-License-Identifier: BSL-1.0

// A coroutine of another library knows nothing of this one's loop.

// expect: a task can be awaited only in a coroutine of this library

#include <asynchio/task/task.hpp>

#include <coroutine>

namespace aio = asynchio;

struct foreign {
    struct promise_type {
        foreign get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};

aio::task<> step();

#ifdef ASYNCHIO_CORRECT
aio::task<> program() { co_await step(); }
#else
foreign program() { co_await step(); }
#endif
