// SPDX-License-Identifier: BSL-1.0

// A named item that cannot be copied has to be given up.

// expect: co_yield: this does not convert to the generator's value type \(an lvalue is copied: std::move it

#include <asynchio/task/async_generator.hpp>

#include <memory>

namespace aio = asynchio;

aio::async_generator<std::unique_ptr<int>> program() {
    auto named = std::make_unique<int>(1);
#ifdef ASYNCHIO_CORRECT
    co_yield std::move(named);
#else
    co_yield named;
#endif
}
