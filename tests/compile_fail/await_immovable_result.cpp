// SPDX-License-Identifier: BSL-1.0

// A result that cannot be moved cannot leave its coroutine; a handle gives a reference to it.

// expect: this result cannot be moved out: make it a task of its own with create_task

#include <asynchio/task/create_task.hpp>

namespace aio = asynchio;

struct immovable {
    immovable(int n) : value(n) {}
    immovable(immovable&&) = delete;
    int value;
};

aio::task<immovable> makes() { co_return 3; }

aio::task<int> program() {
#ifdef ASYNCHIO_CORRECT
    const aio::task_handle<immovable> made = aio::create_task(makes());
    const immovable& result = co_await made;
    co_return result.value;
#else
    co_return (co_await makes()).value;
#endif
}
