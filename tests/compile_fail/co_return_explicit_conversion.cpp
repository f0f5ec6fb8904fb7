// SPDX-License-Identifier: BSL-1.0

// co_return converts as return does: three is no vector of three zeros.

// expect: co_return: this does not convert to the task's result without an explicit conversion

#include <asynchio/task/task.hpp>

#include <vector>

namespace aio = asynchio;

aio::task<std::vector<int>> program() {
#ifdef ASYNCHIO_CORRECT
    co_return std::vector<int>(3);
#else
    co_return 3;
#endif
}
