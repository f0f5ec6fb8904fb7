// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cancelling a program at every point at which it can be cancelled.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/policies.hpp>

#include <cstddef>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::testing {

/// The result of for_each_cancellation().
///
/// Threads: a plain value.
struct cancellation_report {
    /// The number of runs that were cancelled, which is the number of steps of the scenario.
    std::size_t points = 0;
    /// The number of runs whose main task ended cancelled; the others caught the request.
    std::size_t cancelled = 0;
    /// The number of runs whose main task ended with another exception.
    std::size_t failed = 0;

    cancellation_report() = default;
};

/// The options of for_each_cancellation().
///
/// Threads: a plain value.
struct cancellation_plan {
    /// How many steps after the first request a second one comes, which meets the cleanup; 0 stands for no second
    /// request.
    std::size_t second_after = 0;
    /// The options of the loop of each run.
    run_options options = virtual_clock();
};

namespace detail {

using asynchio::detail::step_observer;

/// Cancels a task after the n-th step of its loop.
class canceller final : public step_observer {
public:
    canceller(any_task_handle target, std::size_t at, std::size_t second_after) noexcept
        : target_(std::move(target)), at_(at), second_after_(second_after) {}
    void ran(asynchio::detail::nanoseconds_count) noexcept override {
        ++steps_;
        if (steps_ == at_) hit_ = asynchio::detail::cancel_completion(*asynchio::detail::access::state(target_), {});
        if (second_after_ != 0 && steps_ == at_ + second_after_)
            asynchio::detail::cancel_completion(*asynchio::detail::access::state(target_), {});
    }
    /// Whether the request came before the task was done.
    bool hit() const noexcept { return hit_; }

private:
    any_task_handle target_;
    std::size_t at_;
    std::size_t second_after_;
    std::size_t steps_ = 0;
    bool hit_ = false;
};

template<class Scenario>
bool run_cancelled(Scenario& scenario, std::size_t at, const cancellation_plan& plan, cancellation_report& report) {
    runner r(plan.options);
    event_loop& loop = r.get_loop();
    const auto main = loop.create_task(scenario());
    canceller hook(main, at, plan.second_after);
    const std::string point = "for_each_cancellation, after step " + std::to_string(at) + ": ";
    auto& core = asynchio::detail::core_of(loop);
    core.add_observer(hook);
    bool hangs = false;
    {
        const asynchio::detail::loop_core::running_scope scope(core);
        // The events of a descriptor may take several iterations before a task can go on.
        constexpr int most_idle = 100;
        for (int idle = 0; !main.done() && !hangs; hangs = idle == most_idle) {
            if (!core.is_stuck())
                core.run_once();
            else
                idle = core.run_once(false) ? 0 : idle + 1;
        }
    }
    core.remove_observer(hook);
    if (hangs) {
        std::ostringstream tasks;
        debug::dump_tasks(tasks, loop);
        loop.set_exception_handler([](event_loop&, const exception_context&) {});
        loop.close(); // the runner would wait for the task that hangs
        throw deadlock_error(point + "the scenario hangs\n" + tasks.str());
    }
    if (hook.hit()) {
        ++report.points;
        if (main.cancelled())
            ++report.cancelled;
        else if (main.exception())
            ++report.failed;
    }
    bool usable = false;
    r.run(
        [](bool* ran) -> task<> {
            co_await yield();
            *ran = true;
        },
        &usable);
    if (!usable) throw std::logic_error(point + "the loop does not run any more");
    if (!hook.hit()) static_cast<void>(main.result()); // throws if the task fails without a cancellation
    return hook.hit();
}

} // namespace detail

/// Runs a scenario again and again, each time on a fresh loop under the virtual clock, and cancels its main task after
/// step 1 of the loop, then after step 2, and so on, until a run ends before it is cancelled. A step is one entry of
/// the ready queue, so every suspension point is met, and also the moments just before and after a wake-up in the same
/// iteration. After each run the loop must still work, and after its end nothing may be left alive (see audit).
///
/// @param scenario a callable that returns the same task each time. @param plan whether and when a second request
/// follows.
/// @return how the runs ended.
/// @throws std::logic_error with the step in its text when a run leaves something behind, deadlock_error when it hangs;
/// the exceptions of calling the scenario, and of its main task in the run that is not cancelled.
/// Example: `auto met = testing::for_each_cancellation([] { return gather_of_sleeps(); });`
/// See also: for_each_errno, for_each_allocation_failure.
template<class Scenario>
cancellation_report for_each_cancellation(Scenario scenario, cancellation_plan plan = {}) {
    cancellation_report report;
    const audit_report before = audit();
    for (std::size_t at = 1;; ++at) {
        const bool hit = detail::run_cancelled(scenario, at, plan, report);
        const audit_report after = audit();
        if (after.frames != before.frames || after.loops != before.loops || after.threads != before.threads)
            throw std::logic_error("for_each_cancellation, after step " + std::to_string(at) +
                                   ": something is still alive\n" + after.to_string());
        if (!hit) return report;
    }
}

} // namespace asynchio::testing

#pragma GCC visibility pop
