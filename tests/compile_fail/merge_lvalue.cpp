// SPDX-License-Identifier: BSL-1.0

// merge owns its sources.

// expect: merge takes its sources over: write std::move\(source\)

#include <asynchio/combine/merge.hpp>

#include <utility>

namespace aio = asynchio;

aio::async_generator<int> program(aio::async_generator<int> a, aio::async_generator<int> b) {
#ifdef ASYNCHIO_CORRECT
    return aio::merge(std::move(a), std::move(b));
#else
    return aio::merge(a, b);
#endif
}
