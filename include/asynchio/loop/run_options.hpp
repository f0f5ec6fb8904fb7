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

/// What run, runner and event_loop take: `run(main(), {.virtual_time = true})`.
struct run_options {
    /// See event_loop::set_debug. Not given: on if the environment has ASYNCHIO_DEBUG=1.
    std::optional<bool> debug = std::nullopt;
    /// The clock stands still while anything runs and jumps to the next deadline when nothing is ready: a program
    /// that sleeps an hour ends at once, with the same trace every time. It waits for worker threads as ever.
    bool virtual_time = false;
    /// Shuffles what is ready in each iteration, from this seed: finds code that depends on an order it was never
    /// promised. The same seed gives the same order.
    std::optional<std::uint64_t> order_seed = std::nullopt;
    /// How the loop waits for descriptors.
    poller_kind poller = poller_kind::automatic;
    /// Ctrl-C cancels the main task, and run throws keyboard_interrupt when that ended cancelled; a second Ctrl-C
    /// terminates the process. Where the process ignores Ctrl-C, as behind nohup, it goes on ignoring it; a handler or a
    /// signal_set of the program takes its place. Only run and runner look at it.
    bool handle_sigint = false;
    /// How long the end of run waits, in real time, for worker threads that are in a call which does not end. Then they
    /// are left behind, with a line on stderr.
    std::chrono::nanoseconds shutdown_timeout = std::chrono::minutes(5);
};

namespace detail {

inline bool debug_from_environment() noexcept {
    const char* value = std::getenv("ASYNCHIO_DEBUG");
    return value != nullptr && *value != '\0' && !(value[0] == '0' && value[1] == '\0');
}

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
