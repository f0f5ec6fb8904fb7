// SPDX-License-Identifier: BSL-1.0

// A const object cannot be moved from.

// expect: take moves from what it is given, which must not be const

#include <asynchio/task/take.hpp>

#include <memory>

namespace aio = asynchio;

std::unique_ptr<int> program() {
#ifdef ASYNCHIO_CORRECT
    auto owned = std::make_unique<int>(1);
#else
    const auto owned = std::make_unique<int>(1);
#endif
    return aio::take(owned).release();
}
