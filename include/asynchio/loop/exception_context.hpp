// SPDX-License-Identifier: BSL-1.0
#pragma once

// What an exception handler of a loop is told.

#include <exception>
#include <source_location>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio {

class any_task_handle;
class event_loop;

namespace detail {
class shared_state;
}

/// An error that no caller is there to receive. Asyncio's context dictionary, with members for its keys.
struct exception_context {
    /// What happened, for instance "Task exception was never retrieved".
    std::string message = {};
    std::exception_ptr exception = {};
    /// The name of the task or the kind of object concerned; empty if there is none.
    std::string source = {};
    /// Where that object was created; its line is 0 if that is not known.
    std::source_location created = {};
    /// The object itself while the handler runs; see task().
    detail::shared_state* object = nullptr;

    /// A handle to the task concerned, empty if there is none.
    any_task_handle task() const; // task/task_handle.hpp
};

namespace detail {

/// What an exception says of itself.
inline std::string describe(const std::exception_ptr& error) {
    if (!error) return {};
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "an exception that is not a std::exception";
    }
}

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
