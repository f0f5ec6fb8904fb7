// SPDX-License-Identifier: BSL-1.0

// A future cannot hold an rvalue reference.

// expect: a result is an object, an lvalue reference or void

#include <asynchio/task/future.hpp>

#include <string>

namespace aio = asynchio;

void program() {
#ifdef ASYNCHIO_CORRECT
    const aio::future<std::string> future;
#else
    const aio::future<std::string&&> future;
#endif
}
