// SPDX-License-Identifier: BSL-1.0

// expect: set_result takes what converts to the future's type without an explicit conversion

#include <asynchio/task/future.hpp>

#include <string>

namespace aio = asynchio;

void program(const aio::future<int>& future) {
#ifdef ASYNCHIO_CORRECT
    future.set_result(1);
#else
    future.set_result(std::string("one"));
#endif
}
