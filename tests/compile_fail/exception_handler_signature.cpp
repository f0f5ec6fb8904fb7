// SPDX-License-Identifier: BSL-1.0

// expect: an exception handler is called with \(event_loop&, const exception_context&\)

#include <asynchio/loop/event_loop.hpp>

namespace aio = asynchio;

void program(aio::event_loop& loop) {
#ifdef ASYNCHIO_CORRECT
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
#else
    loop.set_exception_handler([](const aio::exception_context&) {});
#endif
}
