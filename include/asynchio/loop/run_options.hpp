// SPDX-License-Identifier: BSL-1.0
#pragma once

// The policies of a loop, chosen when it is made.

#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/poller_kind.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>

#pragma GCC visibility push(default)

namespace asynchio {

/// The options of run(), runner and event_loop.
///
/// Threads: a plain value.
/// Example: `run(main(), {.virtual_time = true});`
struct run_options {
    /// Whether debug mode is on, see event_loop::set_debug. Without a value, it is on if the environment has
    /// ASYNCHIO_DEBUG=1, or 2, with which the first report aborts.
    std::optional<bool> debug = std::nullopt;
    /// Whether time is virtual: the clock stands still while anything runs and jumps to the next deadline when nothing
    /// is ready. A program that sleeps an hour ends at once, with the same trace every time. It waits for worker
    /// threads as ever. If all tasks wait and nothing can wake them, run() throws deadlock_error.
    bool virtual_time = false;
    /// The seed from which the order of what is ready in each iteration is shuffled, to find code that depends on an
    /// order that was never promised. Equal seeds lead to equal orders. Without a seed nothing is shuffled.
    std::optional<std::uint64_t> order_seed = std::nullopt;
    /// The system call with which the loop waits for descriptors.
    poller_kind poller = poller_kind::automatic;
    /// Whether Ctrl-C cancels the main task: run() throws keyboard_interrupt when that ended cancelled, and a second
    /// Ctrl-C terminates the process. If the process ignores Ctrl-C, as behind nohup, it goes on ignoring it; a handler
    /// or a signal_set of the program takes its place. event_loop itself ignores the option.
    bool handle_sigint = false;
    /// How long the end of run() waits, in real time, for worker threads in a call that does not end. Then the threads
    /// are left behind, with a line on stderr.
    std::chrono::nanoseconds shutdown_timeout = std::chrono::minutes(5);
};

namespace detail {

inline bool debug_from_environment() noexcept {
    const char* value = std::getenv("ASYNCHIO_DEBUG");
    return value != nullptr && *value != '\0' && !(value[0] == '0' && value[1] == '\0');
}

/// Whether the process aborts at the first report of debug mode.
[[gnu::cold]] inline bool aborts_at_report() noexcept {
    const char* value = std::getenv("ASYNCHIO_DEBUG");
    return value != nullptr && value[0] == '2' && value[1] == '\0';
}

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
