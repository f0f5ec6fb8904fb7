// SPDX-License-Identifier: BSL-1.0

// A result that is a reference cannot refer to a temporary, which is gone with the statement.

// expect: the result is a reference, and this is a temporary or a local variable

#include <asynchio/task/task.hpp>

#include <string>

namespace aio = asynchio;

const std::string longest(100, 'x');

aio::task<const std::string&> program() {
#ifdef ASYNCHIO_CORRECT
    co_return longest;
#else
    co_return std::string(100, 'x');
#endif
}
