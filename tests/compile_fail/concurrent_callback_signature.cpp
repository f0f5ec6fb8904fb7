// SPDX-License-Identifier: BSL-1.0

// expect: a done callback is called with the concurrent_future, or with nothing

#include <asynchio/thread/concurrent_future.hpp>

namespace aio = asynchio;

void program(const aio::concurrent_future<int>& future) {
#ifdef ASYNCHIO_CORRECT
    future.add_done_callback([](const aio::concurrent_future<int>& done) { static_cast<void>(done.get()); });
#else
    future.add_done_callback([](int result) { static_cast<void>(result); });
#endif
}
