// SPDX-License-Identifier: BSL-1.0

// Arguments are copied and passed as rvalues: a reference needs std::ref.

// expect: std::ref passes a reference

#include <asynchio/thread/to_thread.hpp>

#include <functional>

namespace aio = asynchio;

void fill(int& target);

aio::task<> program(int& target) {
#ifdef ASYNCHIO_CORRECT
    co_await aio::to_thread(fill, std::ref(target));
#else
    co_await aio::to_thread(fill, target);
#endif
}
