// SPDX-License-Identifier: BSL-1.0

// A result cannot be an rvalue reference: its object would be gone.

// expect: a result is an object, an lvalue reference or void

#include <asynchio/task/task.hpp>

#include <string>
#include <utility>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
aio::task<std::string> program(std::string& given) {
#else
aio::task<std::string&&> program(std::string& given) {
#endif
    co_return std::move(given);
}
