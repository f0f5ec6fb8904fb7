// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exception that a cancelled task sees at the co_await where it waits.

#include <asynchio/core/detail/shared_text.hpp>

#include <exception>
#include <string_view>
#include <typeinfo>

#pragma GCC visibility push(default)

namespace asynchio {

/// The message of a request to cancel, which `view()` reads. Copies share the text; copying never throws.
///
/// Threads: copies may be used on any thread.
using cancel_message = detail::shared_text;

/// The exception that is thrown at a suspension point of a task that was asked to stop, and by `co_await` of a task or
/// future that was cancelled.
///
/// Behaviour: it is not a std::exception, so `catch (const std::exception&)` does not swallow a cancellation, as
/// Python's CancelledError is not an Exception. A handler that catches it ends with `throw;` unless the task is meant
/// to go on.
/// Threads: it may be copied and destroyed on any thread.
/// Cost: a message is shared by all copies.
/// See also: task_handle::cancel, uncancel.
class cancelled_error final {
public:
    cancelled_error() noexcept = default;
    /// Makes an exception with a message. @param message what message() returns.
    /// @throws std::bad_alloc without memory for a message that is not empty.
    explicit cancelled_error(std::string_view message) : message_(message) {}
    /// Makes an exception with the message of a request.
    explicit cancelled_error(cancel_message message) noexcept : message_(std::move(message)) {}

    /// Returns "cancelled".
    const char* what() const noexcept { return "cancelled"; }
    /// Returns the text that was passed to `cancel(message)`; empty if there was none.
    std::string_view message() const noexcept { return message_.view(); }

private:
    cancel_message message_;
};

namespace detail {

/// Whether `error` holds a cancelled_error. A template can ask what this standard library's exception_ptr can do.
template<class ExceptionPtr>
bool holds_cancellation(const ExceptionPtr& error) noexcept {
#if defined(__cpp_rtti) // not with -fno-rtti
    if constexpr (requires { error.__cxa_exception_type(); })
        return *error.__cxa_exception_type() == typeid(cancelled_error);
#endif
    try {
        std::rethrow_exception(error);
    } catch (const cancelled_error&) {
        return true;
    } catch (...) {
        return false;
    }
}

/// Whether `error` is not null and holds a cancelled_error. It costs a rethrow if the standard library or the compiler
/// cannot tell the type.
inline bool is_cancellation(const std::exception_ptr& error) noexcept { return error && holds_cancellation(error); }

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
