// SPDX-License-Identifier: BSL-1.0

// expect: set_result of a future<void> takes nothing, that of another one value

#include <asynchio/task/future.hpp>

namespace aio = asynchio;

void program(const aio::future<>& future) {
#ifdef ASYNCHIO_CORRECT
    future.set_result();
#else
    future.set_result(1);
#endif
}
