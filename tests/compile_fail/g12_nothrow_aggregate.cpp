// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a braced aggregate twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/task.hpp>

#include <memory>

namespace aio = asynchio;

struct ready {
    std::shared_ptr<int> value;

    static bool await_ready() { return true; }
    static void await_suspend(std::coroutine_handle<>) {}
    int await_resume() const { return *value; }
};

aio::task<> program(std::shared_ptr<int> value) {
#ifdef ASYNCHIO_CORRECT
    auto named = ready{value};
    co_await aio::nothrow(named);
#else
    co_await aio::nothrow(ready{value});
#endif
}
