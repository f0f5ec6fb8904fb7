// SPDX-License-Identifier: BSL-1.0

// run needs something to run.

// expect: this takes a task, another awaitable, or a callable that returns one

#include <asynchio/task/run.hpp>

namespace aio = asynchio;

aio::task<int> program();

int main() {
#ifdef ASYNCHIO_CORRECT
    return aio::run(program());
#else
    return aio::run(7);
#endif
}
