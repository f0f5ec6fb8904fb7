// SPDX-License-Identifier: BSL-1.0

// What is yielded must convert to the items' type.

// expect: co_yield: this does not convert to the generator's value type

#include <asynchio/core/generator.hpp>

#include <string>

namespace aio = asynchio;

aio::generator<std::string> program() {
#ifdef ASYNCHIO_CORRECT
    co_yield "text";
#else
    co_yield 7;
#endif
}
