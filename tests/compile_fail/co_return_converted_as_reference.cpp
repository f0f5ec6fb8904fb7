// SPDX-License-Identifier: BSL-1.0

// A result that is a reference cannot refer to what a conversion makes.

// expect: the result is a reference, and this is a temporary or a local variable

#include <asynchio/task/task.hpp>

#include <functional>
#include <string>

namespace aio = asynchio;

const std::string longest(100, 'x');

aio::task<const std::string&> program() {
    static const char* const text = "x";
#ifdef ASYNCHIO_CORRECT
    if (*text == 'x') co_return std::ref(longest);
    co_return longest;
#else
    co_return text;
#endif
}
