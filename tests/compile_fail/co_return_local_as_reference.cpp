// SPDX-License-Identifier: BSL-1.0

// A result that is a reference cannot refer to a local variable of the coroutine.

// expect: the result is a reference, and this is a temporary or a local variable

#include <asynchio/task/task.hpp>

#include <string>

namespace aio = asynchio;

aio::task<std::string&> program(std::string& given) {
#ifdef ASYNCHIO_CORRECT
    co_return given;
#else
    std::string local = given;
    co_return local;
#endif
}
