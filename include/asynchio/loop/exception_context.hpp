// SPDX-License-Identifier: BSL-1.0
#pragma once

// The argument of a loop's exception handler and of its report handler.

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

/// A report of an error that no caller can catch, or of what debug mode has found: asyncio's context dictionary, with
/// members for its keys.
///
/// Threads: a plain value. Lifetime: `object` is valid while the handler runs; a handle from task() lives longer.
/// Example: `loop.set_exception_handler([](auto&, const aio::exception_context& c) { log(c.message); });`
/// See also: event_loop::set_exception_handler, event_loop::set_report_handler.
struct exception_context {
    /// A description of what happened, for instance "Task exception was never retrieved".
    std::string message = {};
    /// The exception; null if there is none.
    std::exception_ptr exception = {};
    /// The name of the task or the kind of object concerned; empty if there is none.
    std::string source = {};
    /// The place where that object was created; its line is 0 if that is not known.
    std::source_location created = {};
    /// The object itself while the handler runs; see task().
    detail::shared_state* object = nullptr;

    /// Returns a handle to the task concerned, which is empty if there is none.
    any_task_handle task() const; // task/task_handle.hpp
};

namespace detail {

/// Returns the text of an exception.
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
