// SPDX-License-Identifier: BSL-1.0
#pragma once

// Letting everything run until it waits for something, where a test would otherwise sleep.

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/yield.hpp>

#include <cstddef>

#pragma GCC visibility push(default)

namespace asynchio::testing {

/// Runs a loop until nothing is ready; time does not pass.
/// @param loop a loop that is not running. @return how many iterations it took.
/// @throws std::logic_error when the loop is running or closed.
/// Threads: the thread of the loop.
inline std::size_t run_until_idle(event_loop& loop) {
    auto& core = asynchio::detail::core_of(loop);
    const asynchio::detail::loop_core::running_scope scope(core);
    std::size_t iterations = 0;
    while (core.run_once(false)) ++iterations;
    return iterations;
}

/// Awaitable for a coroutine: lets all other tasks run until each waits for something that is not there yet. Time does
/// not pass.
/// Cancellation: the wait ends in the next iteration.
/// Example: `co_await testing::run_until_idle();`
template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
task<> run_until_idle() {
    do co_await yield();
    while (!asynchio::detail::running_core().nothing_else_ready());
}

} // namespace asynchio::testing

#pragma GCC visibility pop
