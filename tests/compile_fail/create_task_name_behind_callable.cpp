// SPDX-License-Identifier: BSL-1.0

// What follows a callable is arguments; a name stands in front.

// expect: what follows a callable is arguments for it: name its task with create_task\(named

#include <asynchio/task/create_task.hpp>

namespace aio = asynchio;

aio::task<> work();

void program() {
#ifdef ASYNCHIO_CORRECT
    aio::create_task(aio::named("worker"), work);
    aio::create_task(work(), "worker");
#else
    aio::create_task(work, "worker");
#endif
}
