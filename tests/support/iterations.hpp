// SPDX-License-Identifier: BSL-1.0
#pragma once

// Running a loop by iterations, in tests that end a program in the middle.

#include <asynchio/loop/event_loop.hpp>

namespace asynchio_tests {

/// Makes `count` iterations of a loop. @param may_sleep whether they sleep until something is ready.
inline void make_iterations(asynchio::event_loop& loop, int count, bool may_sleep = true) {
    auto& core = asynchio::detail::core_of(loop);
    const asynchio::detail::loop_core::running_scope scope(core);
    for (int i = 0; i < count; ++i) core.run_once(may_sleep);
}

/// Iterates until nothing is ready and no timer is set, or `done()` returns true. @return what done() returns then.
template<class Done>
bool run_until_stuck(asynchio::event_loop& loop, Done done) {
    auto& core = asynchio::detail::core_of(loop);
    const asynchio::detail::loop_core::running_scope scope(core);
    while (!done() && !core.is_stuck()) core.run_once();
    return done();
}
inline void run_until_stuck(asynchio::event_loop& loop) {
    run_until_stuck(loop, [] { return false; });
}

} // namespace asynchio_tests
