// SPDX-License-Identifier: BSL-1.0
#pragma once

// Making each system call of a program fail, with each error that it can have.

#include <asynchio/task/runner.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/detail/patience.hpp>
#include <asynchio/testing/faults.hpp>
#include <asynchio/testing/policies.hpp>

#include <cstddef>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::testing {

/// A run in which a system call failed.
///
/// Threads: a plain value.
struct faulty_run {
    /// The call and its error.
    fault what;
    /// Which call of the run failed, counted from 1.
    std::size_t at = 0;
    /// The exception of the main task; null if it ended without one.
    std::exception_ptr error;

    faulty_run() = default;
    /// Makes a run of its parts.
    faulty_run(fault f, std::size_t n, std::exception_ptr e) : what(std::move(f)), at(n), error(std::move(e)) {}
};

/// The result of for_each_errno().
///
/// Threads: a plain value.
struct errno_report {
    /// The number of calls that were made to fail, each with all its errors.
    std::size_t points = 0;
    /// The number of runs whose main task ended with an exception.
    std::size_t failed = 0;
    /// All runs in which a call failed.
    std::vector<faulty_run> runs;

    errno_report() = default;
    /// Returns the number of different pairs of a call and an error.
    std::size_t pairs() const {
        std::size_t different = 0;
        for (std::size_t i = 0; i < runs.size(); ++i) {
            bool known = false;
            for (std::size_t j = 0; j < i; ++j) known = known || runs[j].what == runs[i].what;
            if (!known) ++different;
        }
        return different;
    }
};

/// The options of for_each_errno().
///
/// Threads: a plain value.
struct errno_plan {
    /// Whether all later calls of the same name fail, too.
    bool all_later = false;
    /// Whether everything that is waited for is reported as ready after each step, although it is not.
    bool false_alarms = false;
    /// The options of the loop of each run.
    run_options options = virtual_clock();
};

namespace detail {

/// Reports that everything is ready, after each step of a task. Operations that find nothing then make no step.
class alarm final : public asynchio::detail::step_observer {
public:
    explicit alarm(asynchio::detail::loop_core& loop) noexcept : loop_(loop) {}
    void ran(asynchio::detail::nanoseconds_count) noexcept override {
        if (asynchio::detail::this_thread.current != nullptr) loop_.outside().descriptors.notify_all();
    }

private:
    asynchio::detail::loop_core& loop_;
};

template<class Scenario>
faulty_run run_faulty(Scenario& scenario, std::size_t at, std::size_t choice, const errno_plan& plan) {
    faults faulty;
    faulty.fail_at(at, choice, plan.all_later);
    runner r(plan.options);
    event_loop& loop = r.get_loop();
    auto& core = asynchio::detail::core_of(loop);
    alarm bell(core);
    if (plan.false_alarms) core.add_observer(bell);
    const auto main = loop.create_task(scenario());
    const bool ended = run_patiently(loop, main);
    if (plan.false_alarms) core.remove_observer(bell);
    faulty_run run(faulty.hit(), at, nullptr);
    const std::string point = "for_each_errno, call " + std::to_string(at) + " (" + run.what.call + ", error " +
                              std::to_string(run.what.error) + "): ";
    if (!ended) give_up_on(loop, point);
    run.error = main.cancelled() ? std::make_exception_ptr(cancelled_error()) : main.exception();
    require_usable(r, point);
    if (run.what.call.empty() && run.error) std::rethrow_exception(run.error); // the task fails without a fault
    return run;
}

} // namespace detail

/// Runs a scenario again and again, each time on a fresh loop under the virtual clock, and makes a system call of
/// module io fail: the first call, with each error that it can have, one in each run; then the second call, and so on,
/// until a run ends without a fault.
///
/// After each run the loop must still work, and after its end nothing may be left alive or open (see audit). Time
/// passes only when nothing comes from outside for a millisecond, so a wait for the other side needs a time-out.
///
/// @param scenario a callable that returns the same task each time. @param plan which other calls fail.
/// @return the runs, with the exceptions of their main tasks.
/// @throws std::logic_error with call and error in its text when a run leaves something behind, deadlock_error when it
/// hangs; the exceptions of calling the scenario, and of its main task in the run without a fault.
/// Example: `auto met = testing::for_each_errno([] { return fetches_a_page(); });`
/// See also: faults, for_each_cancellation.
template<class Scenario>
errno_report for_each_errno(Scenario scenario, errno_plan plan = {}) {
    errno_report report;
    const audit_report before = audit();
    for (std::size_t at = 1;; ++at) {
        for (std::size_t choice = 0;; ++choice) {
            faulty_run run = detail::run_faulty(scenario, at, choice, plan);
            detail::require_same(before, detail::audit_after(before),
                                 "for_each_errno, call " + std::to_string(at) + " (" + run.what.call + ", error " +
                                     std::to_string(run.what.error) + "): ");
            if (run.what.call.empty()) {
                if (choice == 0) return report;
                break; // the call has no more errors
            }
            if (choice == 0) ++report.points;
            if (run.error) ++report.failed;
            report.runs.push_back(std::move(run));
        }
    }
}

} // namespace asynchio::testing

#pragma GCC visibility pop
