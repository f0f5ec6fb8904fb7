// SPDX-License-Identifier: BSL-1.0
#pragma once

// What debug mode notes of a loop, as far as the loop knows it.

#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/services.hpp>
#include <asynchio/loop/detail/step_observer.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The notes of a loop in debug mode, which the module that makes tasks keeps. They are a service, so that they live as
/// long as the loop. Times are those of steady_now().
class loop_notes : public step_observer, public service {
public:
    /// Reports waits that have become long. It is called in each iteration, before the steps.
    virtual void look(nanoseconds_count now) noexcept = 0;
    /// Returns when look() has something to do, at the earliest; far_future if it has not.
    virtual nanoseconds_count next_look() const noexcept = 0;

    void close() noexcept override {}
    bool closed() const noexcept override { return true; }

protected:
    loop_notes() noexcept = default;
    ~loop_notes() override = default;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
