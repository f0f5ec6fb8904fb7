// SPDX-License-Identifier: BSL-1.0

// A buffer says so, and stands in front: true is no size.

// expect: merge takes async_generators of one type; a buffer stands in front: merge\(buffered\(n\), a, b\)

#include <asynchio/combine/merge.hpp>

#include <utility>

namespace aio = asynchio;

void program(aio::async_generator<int> a, aio::async_generator<int> b) {
#ifdef ASYNCHIO_CORRECT
    auto all = aio::merge(aio::buffered(1), std::move(a), std::move(b));
#else
    auto all = aio::merge(std::move(a), std::move(b), true);
#endif
    static_cast<void>(all);
}
