// SPDX-License-Identifier: BSL-1.0
#pragma once

// An observer of every step of a loop, for tests and tools.

#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// What is told of the steps of a loop while it is among the loop's observers. Times are those of steady_now().
class step_observer : public list_link {
public:
    step_observer(const step_observer&) = delete;
    step_observer& operator=(const step_observer&) = delete;

    /// Called before a step of a task, or a call.
    virtual void begins(const ready_item& item, nanoseconds_count now) noexcept {
        (void)item;
        (void)now;
    }
    /// Called before each step that the step or call makes: a step makes its own; a call may make one of a task that it
    /// wakes.
    virtual void steps(const ready_item& task) noexcept { (void)task; }
    /// Called after a step of a task, or a call; the item may be gone.
    virtual void ran(nanoseconds_count now) noexcept { (void)now; }
    /// Called after the loop has slept.
    virtual void slept(nanoseconds_count since, nanoseconds_count now) noexcept {
        (void)since;
        (void)now;
    }

protected:
    step_observer() noexcept : list_link{nullptr, nullptr} {}
    virtual ~step_observer() = default;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
