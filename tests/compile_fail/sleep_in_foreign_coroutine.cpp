// SPDX-License-Identifier: BSL-1.0

// An awaiter that parks a task is refused in a coroutine of another library.

// expect: this can be awaited only in a coroutine of this library

#include <asynchio/task/sleep.hpp>
#include <asynchio/task/task.hpp>

#include <chrono>
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

#ifdef ASYNCHIO_CORRECT
aio::task<> program() { co_await aio::sleep(std::chrono::seconds(1)); }
#else
foreign program() { co_await aio::sleep(std::chrono::seconds(1)); }
#endif
