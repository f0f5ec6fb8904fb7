// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options of a watchdog.

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// The options of a watchdog.
///
/// Threads: a plain value.
/// Example: `aio::debug::watchdog dog(50ms, {.interrupt_system_calls = true});`
struct watchdog_options {
    /// Whether a thread that sleeps in a system call is interrupted, too, so that the report has the functions that
    /// made the call. The signal ends usleep, poll and sem_timedwait early, and other calls may fail with EINTR.
    bool interrupt_system_calls = false;
};

} // namespace asynchio::debug

#pragma GCC visibility pop
