// SPDX-License-Identifier: BSL-1.0
#pragma once

// Making each allocation of a program fail.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/testing/allocation_faults.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/detail/patience.hpp>
#include <asynchio/testing/policies.hpp>

#include <cstddef>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::testing {

/// The result of for_each_allocation_failure().
///
/// Threads: a plain value.
struct allocation_report {
    /// The number of runs in which an allocation failed.
    std::size_t points = 0;
    /// The exceptions of the main tasks of those runs: a cancelled_error if the task was cancelled, the std::bad_alloc
    /// if it could not be started.
    std::vector<std::exception_ptr> errors;

    allocation_report() = default;
};

/// The options of for_each_allocation_failure().
///
/// Threads: a plain value.
struct allocation_plan {
    /// Whether all allocations behind the one that fails fail, too.
    bool all_later = false;
    /// The options of the loop of each run.
    run_options options = virtual_clock();
};

namespace detail {

template<class Scenario>
class starved_run {
public:
    starved_run(Scenario& scenario, const allocation_plan& plan, std::size_t at, allocation_report& report)
        : point_("for_each_allocation_failure, allocation " + std::to_string(at) + ": "), scenario_(scenario),
          plan_(plan), report_(report) {}

    /// @return whether an allocation failed.
    bool go(std::size_t at) {
        allocation_faults::start(at, plan_.all_later);
        const struct at_end {
            ~at_end() { allocation_faults::stop(); }
        } whatever_happens;
        std::exception_ptr error;
        {
            runner r(plan_.options);
            try {
                error = run(r);
            } catch (const std::bad_alloc&) { // before there was a main task
                if (!allocation_faults::met()) throw;
                error = std::current_exception();
            }
        } // what is left is destroyed without memory as well
        allocation_faults::stop();
        if (!allocation_faults::met()) return false;
        ++report_.points;
        if (error) report_.errors.push_back(std::move(error));
        return true;
    }

    const std::string& point() const noexcept { return point_; }

private:
    /// @return the exception of the main task, or null.
    std::exception_ptr run(runner& r) {
        event_loop& loop = r.get_loop();
        {
            const allocation_faults::pause own_business;
            loop.set_exception_handler([](event_loop&, const exception_context&) {});
        }
        const auto main = loop.create_task(scenario_());
        const bool ended = run_patiently(loop, main);
        const allocation_faults::pause own_business;
        if (!ended) give_up_on(loop, point_);
        const std::exception_ptr error =
            main.cancelled() ? std::make_exception_ptr(cancelled_error()) : main.exception();
        require_usable(r, point_);
        if (error && !allocation_faults::met()) std::rethrow_exception(error); // what fails untouched fails
        return error;
    }

    std::string point_;
    Scenario& scenario_;
    const allocation_plan& plan_;
    allocation_report& report_;
};

} // namespace detail

/// Runs a scenario again and again, and makes another allocation fail each time: none in the first run, the first one
/// in the second run, and so on, until a run ends without a fault. Each run has a fresh loop under the virtual clock,
/// which is made and closed under the same conditions.
///
/// After each run the loop must still work, and after its end nothing may be left alive (see audit). Reports to the
/// loop's exception handler are dropped, unless the scenario sets one. The program's operator new must be made as
/// allocation_faults says. Time passes only when nothing comes from outside for a millisecond, so a wait for the other
/// side needs a time-out.
///
/// @param scenario a callable that returns the same task each time.
/// @param plan with all_later, a run has no memory at all from its point on.
/// @return the number of runs, and the exceptions of their main tasks.
/// @throws std::logic_error with the allocation in its text when a run leaves something behind, deadlock_error when it
/// hangs, or if operator new is not replaced; the exception of the main task in a run without a fault.
/// Example: `auto met = testing::for_each_allocation_failure([] { return fetches_a_page(); });`
/// See also: allocation_faults, for_each_errno, for_each_cancellation.
template<class Scenario>
allocation_report for_each_allocation_failure(Scenario scenario, allocation_plan plan = {}) {
    if (!allocation_faults::installed())
        throw std::logic_error("for_each_allocation_failure: the program's operator new does not call "
                               "allocation_faults::allocate");
    allocation_report report;
    for (std::size_t at = 0;; ++at) { // with 0 nothing fails, and what is made once is made
        const audit_report before = audit();
        detail::starved_run<Scenario> run(scenario, plan, at, report);
        const bool met = run.go(at);
        detail::require_same(before, detail::audit_after(before), run.point());
        if (!met && at != 0) return report;
    }
}

} // namespace asynchio::testing

#pragma GCC visibility pop
