// SPDX-License-Identifier: BSL-1.0

// wait gives back what it is given, so that it takes handles.

// expect: wait takes handles and futures: make a handle of a task with create_task

#include <asynchio/combine/wait.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/task.hpp>

#include <utility>
#include <vector>

namespace aio = asynchio;

aio::task<int> step();

aio::task<> program() {
#ifdef ASYNCHIO_CORRECT
    std::vector<aio::task_handle<int>> steps;
    steps.push_back(aio::create_task(step()));
#else
    std::vector<aio::task<int>> steps;
    steps.push_back(step());
#endif
    co_await aio::wait(steps);
}
