// SPDX-License-Identifier: BSL-1.0

// A future of a reference cannot be given a temporary.

// expect: the result is a reference, and this is a temporary or a local variable

#include <asynchio/task/future.hpp>

#include <string>

namespace aio = asynchio;

void program(const aio::future<const std::string&>& future, const std::string& name) {
#ifdef ASYNCHIO_CORRECT
    future.set_result(name);
#else
    future.set_result(name + name);
#endif
}
