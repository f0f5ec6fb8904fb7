// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exceptions of the library that report a state rather than an operating system error.

#include <asynchio/core/cancelled_error.hpp>

#include <stdexcept>

namespace asynchio {

/// A result that is not there yet, was moved out, or is set a second time. Misuse, hence a std::logic_error.
class invalid_state_error : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// A deadline passed: thrown by wait_for, by the block of a timeout, and by as_completed.
class timeout_error : public std::runtime_error {
public:
    timeout_error() : std::runtime_error("timed out") {}
    using std::runtime_error::runtime_error;
};

/// Thrown by run when Ctrl-C ended it (see run_options::handle_sigint).
class keyboard_interrupt : public std::runtime_error {
public:
    keyboard_interrupt() : std::runtime_error("interrupted (SIGINT)") {}
};

} // namespace asynchio
