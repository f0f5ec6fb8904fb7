// SPDX-License-Identifier: BSL-1.0

// A loop is one thing; other threads hold a loop_ref.

// expect: (deleted function|deleted constructor)

#include <asynchio/loop/event_loop.hpp>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
aio::loop_ref share(aio::event_loop& loop) { return loop.ref(); }
#else
aio::event_loop share(aio::event_loop& loop) { return loop; }
#endif
