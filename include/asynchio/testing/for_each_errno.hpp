// SPDX-License-Identifier: BSL-1.0
#pragma once

// Making each system call of a program fail, with each error that it can have.

#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/faults.hpp>
#include <asynchio/testing/policies.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

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
        if (loop_.current() != nullptr) loop_.outside().descriptors.notify_all();
    }

private:
    event_loop& loop_;
};

/// @return whether the main task ends. What is under way in the system gets a moment before virtual time goes on.
template<class Handle>
bool run_patiently(event_loop& loop, const Handle& main) {
    constexpr asynchio::detail::nanoseconds_count moment = 1'000'000;
    constexpr int most_idle = 500;
    const event_loop::running_scope scope(loop);
    for (int idle = 0; !main.done() && idle < most_idle;) {
        if (loop.run_once(false)) {
            idle = 0;
            continue;
        }
        loop.outside().sleep_at_most(moment);
        if (loop.run_once(false)) continue;
        if (loop.is_stuck())
            ++idle;
        else
            loop.run_once();
    }
    return main.done();
}

/// An audit that finds as much as `before`, if there is one to be had: a thread that has done its work may hold a loop's
/// mailbox for a moment.
inline audit_report audit_after(const audit_report& before) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    for (;;) {
        const audit_report after = audit();
        if ((after.loops == before.loops && after.threads == before.threads) || std::chrono::steady_clock::now() > end)
            return after;
        ::usleep(50);
    }
}

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
    if (!ended) {
        std::ostringstream tasks;
        debug::dump_tasks(tasks, loop);
        loop.set_exception_handler([](event_loop&, const exception_context&) {});
        loop.close(); // the runner would wait for what hangs
        throw std::logic_error(point + "the scenario hangs\n" + tasks.str());
    }
    run.error = main.cancelled() ? std::make_exception_ptr(cancelled_error()) : main.exception();
    bool usable = false;
    r.run(
        [](bool* ran) -> task<> {
            co_await yield();
            *ran = true;
        },
        &usable);
    if (!usable) throw std::logic_error(point + "the loop does not run any more");
    if (run.what.call.empty() && run.error) std::rethrow_exception(run.error); // what fails untouched fails
    return run;
}

} // namespace detail

/// Runs `scenario()`, which makes the same task each time, on a fresh loop under the virtual clock; the first system
/// call that room net makes in it fails, in one run with each error that it can have; then the second call, and so on,
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
            const audit_report after = detail::audit_after(before);
            if (after.frames != before.frames || after.loops != before.loops || after.threads != before.threads ||
                after.descriptors != before.descriptors)
                throw std::logic_error("for_each_errno, call " + std::to_string(at) + " (" + run.what.call +
                                       ", error " + std::to_string(run.what.error) + "): something is still alive\n" +
                                       after.to_string());
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
