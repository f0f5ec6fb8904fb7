// SPDX-License-Identifier: BSL-1.0

// A guard without a name releases at the end of its line. g++ 12 does not warn of a discarded result of co_await.

// compiler: clang
// expect: the mutex is released when the guard goes away: give it a name

#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<> program(aio::mutex& m) {
#ifdef ASYNCHIO_CORRECT
    const auto guard = co_await m.scoped_acquire();
#else
    co_await m.scoped_acquire();
#endif
}
