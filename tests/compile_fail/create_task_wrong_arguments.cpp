// SPDX-License-Identifier: BSL-1.0

// Arguments are copied and passed as rvalues: a reference needs std::ref.

// expect: std::ref passes a reference

#include <asynchio/task/create_task.hpp>

#include <functional>

namespace aio = asynchio;

aio::task<> adds(int& total, int more);

void program(int& total) {
#ifdef ASYNCHIO_CORRECT
    aio::create_task(adds, std::ref(total), 1);
#else
    aio::create_task(adds, total, 1);
#endif
}
