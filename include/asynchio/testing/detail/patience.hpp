// SPDX-License-Identifier: BSL-1.0
#pragma once

// Finding out, in tests that break things, that a program hangs, leaves something behind, or has broken its loop.

#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/audit.hpp>

#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::testing::detail {

/// Runs a loop until its main task is done. Events that are under way in the system get a moment before virtual time
/// goes on. @return whether the task has ended.
template<class Handle>
bool run_patiently(event_loop& loop, const Handle& main) {
    auto& core = asynchio::detail::core_of(loop);
    constexpr asynchio::detail::nanoseconds_count moment = 1'000'000;
    constexpr int most_idle = 500;
    const asynchio::detail::loop_core::running_scope scope(core);
    for (int idle = 0; !main.done() && idle < most_idle;) {
        if (core.run_once(false)) {
            idle = 0;
            continue;
        }
        core.outside().sleep_at_most(moment);
        if (core.run_once(false)) continue;
        if (core.is_stuck())
            ++idle;
        else
            core.run_once();
    }
    return main.done();
}

/// Closes the loop of a scenario that hangs, for which the runner would wait. @throws deadlock_error that says so.
[[noreturn]] inline void give_up_on(event_loop& loop, const std::string& point) {
    std::ostringstream tasks;
    debug::dump_tasks(tasks, loop);
    loop.set_exception_handler([](event_loop&, const exception_context&) {});
    loop.close();
    throw deadlock_error(point + "the scenario hangs\n" + tasks.str());
}

/// @throws std::logic_error if the runner does not run another task.
inline void require_usable(runner& r, const std::string& point) {
    bool usable = false;
    r.run(
        [](bool* ran) -> task<> {
            co_await yield();
            *ran = true;
        },
        &usable);
    if (!usable) throw std::logic_error(point + "the loop does not run any more");
}

/// Returns an audit that finds as much as `before`, if there is one within some seconds: a thread that has done its
/// work may hold a loop's mailbox for a moment.
inline audit_report audit_after(const audit_report& before) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    for (;;) {
        const audit_report after = audit();
        if ((after.loops == before.loops && after.threads == before.threads) || std::chrono::steady_clock::now() > end)
            return after;
        ::usleep(50);
    }
}

/// @throws std::logic_error if there is more alive than before.
inline void require_same(const audit_report& before, const audit_report& after, const std::string& point) {
    if (after.frames != before.frames || after.loops != before.loops || after.threads != before.threads ||
        after.descriptors != before.descriptors)
        throw std::logic_error(point + "something is still alive\n" + after.to_string());
}

} // namespace asynchio::testing::detail

#pragma GCC visibility pop
