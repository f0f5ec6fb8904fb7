// SPDX-License-Identifier: BSL-1.0

// set_result converts as return does.

// expect: set_result takes what converts to the future's type without an explicit conversion

#include <asynchio/task/future.hpp>

#include <vector>

namespace aio = asynchio;

void program(const aio::future<std::vector<int>>& future) {
#ifdef ASYNCHIO_CORRECT
    future.set_result(std::vector<int>(3));
#else
    future.set_result(3);
#endif
}
