// SPDX-License-Identifier: BSL-1.0
#pragma once

// The watchdog: it says which task holds up a loop, in which function, in any build. Tools are apart from asynchio.hpp;
// with a C library older than glibc 2.34, a program that includes this is linked with -ldl.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/debug/detail/print_to_stderr.hpp>
#include <asynchio/debug/detail/watch.hpp>
#include <asynchio/debug/stall_report.hpp>
#include <asynchio/debug/watchdog_options.hpp>
#include <asynchio/loop/event_loop.hpp>

#include <chrono>
#include <concepts>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::debug {

namespace detail {

/// Prints a report to stderr.
[[gnu::cold]] inline void print_stall(const stall_report& report) { print_to_stderr(report.to_string()); }

} // namespace detail

/// A watchdog of a loop: if an iteration lasts too long, it reports the task that holds up the loop, the lines at which
/// the task awaits, and the functions that run.
///
/// Behaviour: a thread of its own looks four times in the limit. It never wakes a loop that sleeps, and reports a stall
/// once, while it lasts; at most five in a minute, and the next report says how many were left out. A thread that
/// computes is interrupted by a signal: SIGURG, or, if the program handles that, the highest real-time signal that it
/// does not handle; system calls restart. A thread that sleeps in a system call is not interrupted, see
/// watchdog_options: the report names the call instead of the functions. Time in which the loop does not run does not
/// count, nor does time in which the process was stopped.
/// Threads: it is made on the thread that runs the loop, and destroyed on any, but not by its handler, which is called
/// on the watchdog's thread.
/// Lifetime: it may outlive the loop; then it watches nothing. It watches again when the loop runs again.
/// Cost: one thread. The loop pays nothing. A report takes some ten microseconds of the loop's thread.
/// Differs from Python: the part of debug mode that reports slow callbacks; it works in any build, and while the
/// callback still runs.
/// Example: `const aio::debug::watchdog dog(50ms);`
/// See also: profiler, event_loop::set_debug, tools.hpp.
class watchdog {
public:
    /// Watches the loop that runs on this thread, and prints the reports to stderr. @param limit how long an iteration
    /// may last, more than 0. @param options how it reports.
    /// @throws std::logic_error without a running loop, or if it has a watchdog; std::invalid_argument for a limit that
    /// is not positive; std::system_error if there is no thread left.
    explicit watchdog(duration limit = std::chrono::milliseconds(100), watchdog_options options = {})
        : watchdog(limit, &detail::print_stall, options) {}
    /// Watches the loop that runs on this thread. @param limit as above. @param handler is called with each report, on
    /// the watchdog's thread; an exception of it goes to stderr. @param options how it reports. @throws as above, and
    /// std::invalid_argument for a null handler.
    template<class Handler>
        requires std::invocable<Handler&, const stall_report&>
    watchdog(duration limit, Handler handler, watchdog_options options = {}) {
        asynchio::detail::require_callable(handler, "watchdog");
        watch_ = detail::set_watch(asynchio::detail::running_core(), limit, options,
                                   detail::watch::reporter(std::move(handler)), false);
    }
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;
    /// Ends the thread, and waits for that.
    ~watchdog() { watch_->stop(); }

private:
    asynchio::detail::counted_ptr<detail::watch> watch_;
};

} // namespace asynchio::debug

#pragma GCC visibility pop
