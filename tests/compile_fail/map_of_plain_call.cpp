// SPDX-License-Identifier: BSL-1.0

// What map_ordered calls returns something to be awaited.

// expect: must return a task or another awaitable; for a plain blocking call use to_thread

#include <asynchio/combine/map.hpp>

#include <vector>

namespace aio = asynchio;

aio::async_generator<int> program(std::vector<int> items) {
#ifdef ASYNCHIO_CORRECT
    return aio::map_ordered(items, [](int item) -> aio::task<int> { co_return item; }, 2);
#else
    return aio::map_ordered(items, [](int item) { return item; }, 2);
#endif
}
