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

/// A run that met a fault.
struct faulty_run {
    fault what;
    std::size_t at = 0;       // which call of the run
    std::exception_ptr error; // that the main task ended with; null if it made nothing of it

    faulty_run() = default;
    faulty_run(fault f, std::size_t n, std::exception_ptr e) : what(std::move(f)), at(n), error(std::move(e)) {}
};

/// What for_each_errno did.
struct errno_report {
    std::size_t points = 0;       // calls that a run makes
    std::size_t failed = 0;       // runs whose main task ended with an exception
    std::vector<faulty_run> runs; // all that met a fault

    errno_report() = default;
    /// How many different (call, error) pairs were met.
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

/// How to fail.
struct errno_plan {
    /// Not only the one call, but also all later ones of its name.
    bool all_later = false;
    /// Tells everything that is waited for that it is ready, after each step: what is ready must be found out anew.
    bool false_alarms = false;
    run_options options = virtual_clock();
};

namespace detail {

/// Says that everything is ready, after each step of a task: those that then find nothing make no step.
class alarm final : public asynchio::detail::step_observer {
public:
    explicit alarm(event_loop& loop) noexcept : loop_(loop) {}
    void ran() noexcept override {
        if (asynchio::detail::this_thread.current != nullptr) loop_.outside().descriptors.notify_all();
    }

private:
    event_loop& loop_;
};

template<class Scenario>
faulty_run run_faulty(Scenario& scenario, std::size_t at, std::size_t choice, const errno_plan& plan) {
    faults faulty;
    faulty.fail_at(at, choice, plan.all_later);
    runner r(plan.options);
    event_loop& loop = r.get_loop();
    alarm bell(loop);
    if (plan.false_alarms) loop.set_observer(&bell);
    const auto main = loop.create_task(scenario());
    const bool ended = run_patiently(loop, main);
    loop.set_observer(nullptr);
    faulty_run run(faulty.hit(), at, nullptr);
    const std::string point = "for_each_errno, call " + std::to_string(at) + " (" + run.what.call + ", error " +
                              std::to_string(run.what.error) + "): ";
    if (!ended) give_up_on(loop, point);
    run.error = main.cancelled() ? std::make_exception_ptr(cancelled_error()) : main.exception();
    require_usable(r, point);
    if (run.what.call.empty() && run.error) std::rethrow_exception(run.error); // what fails untouched fails
    return run;
}

} // namespace detail

/// Runs `scenario()`, which makes the same task each time, on a fresh loop under the virtual clock; the first system
/// call that module io makes in it fails, in one run with each error that it can have; then the second call, and so on,
/// until a run ends without a fault.
///
/// After each run the loop must still work, and after its end nothing may be left alive or open (see audit).
/// Time passes only when nothing comes from outside for a millisecond: give waits for the other side a time-out.
/// @throws std::logic_error naming call and error, when a run hangs or leaves something behind; what `scenario` throws
/// before it gives a task, and what its main task throws in the run without a fault. What the main task ends with in the
/// others is in the report.
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
                break; // it has no more errors
            }
            if (choice == 0) ++report.points;
            if (run.error) ++report.failed;
            report.runs.push_back(std::move(run));
        }
    }
}

} // namespace asynchio::testing

#pragma GCC visibility pop
