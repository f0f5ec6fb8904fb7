// SPDX-License-Identifier: BSL-1.0

// A queue owns its items.

// expect: what goes through a queue is a movable object type, not a reference, void or const

#include <asynchio/sync/queue.hpp>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
aio::queue<int*> q;
#else
aio::queue<int&> q;
#endif
