// SPDX-License-Identifier: BSL-1.0
#pragma once

// An observer of every step of a loop, for tests and tools.

#pragma GCC visibility push(default)

namespace asynchio::detail {

class step_observer {
public:
    /// Called after a step of a task, or a call.
    virtual void ran() noexcept = 0;

protected:
    step_observer() = default;
    step_observer(const step_observer&) = default;
    step_observer& operator=(const step_observer&) = default;
    virtual ~step_observer() = default;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
