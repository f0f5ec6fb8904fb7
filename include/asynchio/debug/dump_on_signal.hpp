// SPDX-License-Identifier: BSL-1.0
#pragma once

// A dump of all tasks when a signal arrives, from a program that runs.

#include <asynchio/debug/detail/print_to_stderr.hpp>
#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/loop/event_loop.hpp>

#include <csignal>
#include <sstream>

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// Has the running loop print what dump_tasks() prints to stderr, in one piece, when a signal arrives.
///
/// Behaviour: the loop prints it between two steps, so a loop that is held up prints it later; a watchdog tells of that.
/// It replaces the loop's handler for the signal, and remove_signal_handler() ends it.
/// @param signal the signal, which nothing else in the process handles.
/// @throws std::logic_error without a running loop, or when another loop handles the signal; std::invalid_argument and
/// std::system_error for a signal that cannot be handled.
/// Threads: the thread of the loop.
/// Cost: nothing until the signal arrives.
/// Example: `aio::debug::dump_on_signal(SIGUSR1);`, and then `kill -USR1 PID`
/// See also: dump_tasks, event_loop::add_signal_handler, watchdog.
inline void dump_on_signal(int signal = SIGUSR1) {
    event_loop& loop = get_running_loop();
    loop.add_signal_handler(signal, [&loop] {
        std::ostringstream dump;
        dump_tasks(dump, loop);
        detail::print_to_stderr(dump.str());
    });
    asynchio::detail::core_of(loop).outside().caught.discount(signal);
}

} // namespace asynchio::debug

#pragma GCC visibility pop
