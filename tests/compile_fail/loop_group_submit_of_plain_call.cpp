// SPDX-License-Identifier: BSL-1.0

// A plain blocking call would hold up the loop it is given to.

// expect: the callable must return a task or another awaitable; for a plain blocking call use to_thread

#include <asynchio/thread/loop_group.hpp>

namespace aio = asynchio;

int work() { return 1; }
aio::task<int> works() { co_return 1; }

int program(aio::loop_group& loops) {
#ifdef ASYNCHIO_CORRECT
    return loops.submit(works).get();
#else
    return loops.submit(work).get();
#endif
}
