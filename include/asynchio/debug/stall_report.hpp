// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a watchdog reports.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/loop/clock.hpp>

#include <chrono>
#include <source_location>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// A report of one iteration that lasts too long.
///
/// Threads: a plain value.
/// See also: watchdog.
struct stall_report {
    /// How long the iteration has held up the loop when this was noticed: the true time is longer by a part of the
    /// limit.
    duration late{};
    /// How long the thread of the loop had a processor meanwhile.
    duration processor_time{};
    /// What runs: the name of a task, "a part of a task" for an awaitable that a combinator runs, "a call" for what
    /// call_soon, a timer or a reader has called, "the loop".
    std::string what;
    /// The lines at which the coroutines of the task await each other, the outermost first. The last one is where the
    /// step began: the line of the co_await from which it goes on, or the function in its first step.
    std::vector<std::source_location> awaits;
    /// The system call in which the thread sleeps, with its arguments; empty if it computes.
    std::string system_call;
    /// The functions that run, the innermost first, down to the loop's. A function without a symbol is written as
    /// module and offset, with the command that finds its line. Link with -rdynamic to have names.
    std::vector<std::string> functions;
    /// What is missing in this report, and why; empty if nothing is.
    std::string note;
    /// How many stalls went without a report since the last one, because there were five in a minute.
    unsigned left_out = 0;

    /// Returns the report as lines of text.
    [[gnu::cold]] std::string to_string() const {
        using asynchio::detail::formatted;
        const auto milliseconds = [](duration d) {
            return static_cast<long long>(std::chrono::round<std::chrono::milliseconds>(d).count());
        };
        std::string text = "asynchio: " + what;
        text += formatted(" has held up the loop for %lld ms", milliseconds(late));
        if (system_call.empty())
            text += formatted("; it had the processor for %lld ms of them\n", milliseconds(processor_time));
        else
            text.append("; it sleeps in ").append(system_call).append("\n");
        if (!awaits.empty()) text += "  awaits, the last line being where its step began:\n";
        for (const std::source_location& each : awaits)
            text += formatted("    %s %s:%u\n", function_name(each).c_str(), each.file_name(),
                              static_cast<unsigned>(each.line()));
        if (!functions.empty()) text += "  runs, the innermost first:\n";
        for (const std::string& each : functions) text.append("    ").append(each).append("\n");
        if (!note.empty()) text.append("  ").append(note).append("\n");
        if (left_out > 0) text += formatted("  %u stalls before this one went without a report\n", left_out);
        return text;
    }
};

} // namespace asynchio::debug

#pragma GCC visibility pop
