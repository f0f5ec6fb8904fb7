// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exceptions of the library that report a state rather than an error of the operating system.

#include <asynchio/core/cancelled_error.hpp>

#include <stdexcept>

#pragma GCC visibility push(default)

namespace asynchio {

/// The exception for a result that is not there yet, was moved out, or is set a second time. It is a std::logic_error,
/// since that is misuse.
/// Threads: as std::logic_error.
class invalid_state_error : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// The exception for a deadline that has passed: wait_for, the block of a timeout, and as_completed throw it, and
/// open_connection with a timeout.
/// Threads: as std::runtime_error.
class timeout_error : public std::runtime_error {
public:
    timeout_error() : std::runtime_error("timed out") {}
    using std::runtime_error::runtime_error;
};

/// The exception of get_nowait() of a queue without an item.
/// Threads: as std::runtime_error.
class queue_empty : public std::runtime_error {
public:
    queue_empty() : std::runtime_error("the queue is empty") {}
    using std::runtime_error::runtime_error;
};

/// The exception of put_nowait() to a queue without room.
/// Threads: as std::runtime_error.
class queue_full : public std::runtime_error {
public:
    queue_full() : std::runtime_error("the queue is full") {}
    using std::runtime_error::runtime_error;
};

/// The exception of a queue that was shut down: nothing goes in any more, and nothing is left to come out.
/// Threads: as std::runtime_error.
class queue_shut_down : public std::runtime_error {
public:
    queue_shut_down() : std::runtime_error("the queue was shut down") {}
    using std::runtime_error::runtime_error;
};

/// The exception of a barrier that was aborted, or reset while a task waited in it.
/// Threads: as std::runtime_error.
class broken_barrier_error : public std::runtime_error {
public:
    broken_barrier_error() : std::runtime_error("the barrier was aborted or reset") {}
    using std::runtime_error::runtime_error;
};

/// The exception for tasks that wait for ever, since nothing can wake them: run() throws it in virtual time, and the
/// functions of module testing. Its text says what each task waits for, and at which line.
/// Threads: as std::logic_error.
class deadlock_error : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// The exception that run() throws when Ctrl-C has ended it (see run_options::handle_sigint).
/// Threads: as std::runtime_error.
class keyboard_interrupt : public std::runtime_error {
public:
    keyboard_interrupt() : std::runtime_error("interrupted (SIGINT)") {}
};

} // namespace asynchio

#pragma GCC visibility pop
