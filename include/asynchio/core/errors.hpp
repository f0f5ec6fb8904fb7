// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exceptions of the library that report a state rather than an operating system error.

#include <asynchio/core/cancelled_error.hpp>

#include <stdexcept>

#pragma GCC visibility push(default)

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

/// get_nowait of a queue that has nothing.
class queue_empty : public std::runtime_error {
public:
    queue_empty() : std::runtime_error("the queue is empty") {}
    using std::runtime_error::runtime_error;
};

/// put_nowait to a queue that has no room.
class queue_full : public std::runtime_error {
public:
    queue_full() : std::runtime_error("the queue is full") {}
    using std::runtime_error::runtime_error;
};

/// A queue was shut down: nothing goes in any more, and nothing is left to come out.
class queue_shut_down : public std::runtime_error {
public:
    queue_shut_down() : std::runtime_error("the queue was shut down") {}
    using std::runtime_error::runtime_error;
};

/// A barrier was aborted, or reset while a task waited in it.
class broken_barrier_error : public std::runtime_error {
public:
    broken_barrier_error() : std::runtime_error("the barrier was aborted or reset") {}
    using std::runtime_error::runtime_error;
};

/// Thrown by run when Ctrl-C ended it (see run_options::handle_sigint).
class keyboard_interrupt : public std::runtime_error {
public:
    keyboard_interrupt() : std::runtime_error("interrupted (SIGINT)") {}
};

} // namespace asynchio

#pragma GCC visibility pop
