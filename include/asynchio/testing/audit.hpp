// SPDX-License-Identifier: BSL-1.0
#pragma once

// An audit: what is still alive when nothing should be.

#include <asynchio/io/system_calls.hpp>
#include <asynchio/loop/detail/frame_pool.hpp>
#include <asynchio/loop/detail/mailbox.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/thread/detail/worker_count.hpp>

#include <cstddef>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio::testing {

/// The result of audit(): counts of what the library holds.
///
/// Threads: a plain value.
struct audit_report {
    /// Coroutine frames and calls of this thread.
    std::ptrdiff_t frames = 0;
    /// Tasks of the running loop, without the current one.
    std::size_t tasks = 0;
    /// Timers of the running loop.
    std::size_t timers = 0;
    /// Loops, with their descriptors.
    std::ptrdiff_t loops = 0;
    /// Threads of thread pools.
    std::ptrdiff_t threads = 0;
    /// Descriptors of streams, servers and other objects of module io.
    std::ptrdiff_t descriptors = 0;
    /// One line for each task that is left, with the line that created it.
    std::string details;

    audit_report() = default;
    /// Whether nothing is left.
    bool clean() const noexcept {
        return frames == 0 && tasks == 0 && timers == 0 && loops == 0 && threads == 0 && descriptors == 0;
    }
    /// Returns one line for each count that is not zero, and the details.
    std::string to_string() const {
        std::string text;
        const auto line = [&text](const char* what, auto count) {
            if (count != 0) text += std::string(what) + ": " + std::to_string(count) + "\n";
        };
        line("frames", frames);
        line("tasks", tasks);
        line("timers", timers);
        line("loops", loops);
        line("threads", threads);
        line("descriptors", descriptors);
        return text + details;
    }
};

/// Counts what the library holds. The report of a test that calls it outside of any loop, at its end, should be
/// clean(). Inside a running loop it counts that loop and the frames of the calling task as well.
///
/// @return the counts.
/// Threads: any; frames are those of the calling thread.
/// Example: `REQUIRE(testing::audit().clean());`
inline audit_report audit() {
    audit_report report;
    report.frames = asynchio::detail::frame_pool::live();
    report.loops = asynchio::detail::mailbox::alive.load();
    report.threads = asynchio::detail::workers_alive.load();
    report.descriptors = asynchio::detail::descriptors_alive.load();
    if (auto* loop = static_cast<asynchio::detail::loop_core*>(asynchio::detail::this_thread.running)) {
        report.timers = loop->outside().timers.size();
        const asynchio::detail::frame* self = asynchio::detail::current_task_frame();
        for (asynchio::detail::frame* each = loop->tasks().front(); each != nullptr;
             each = loop->tasks().after(*each)) {
            if (each == self) continue;
            ++report.tasks;
            report.details += "  " + asynchio::detail::task_name(*each) + " created at " + each->created().file_name() +
                              ":" + std::to_string(each->created().line()) + "\n";
        }
    }
    return report;
}

} // namespace asynchio::testing

#pragma GCC visibility pop
