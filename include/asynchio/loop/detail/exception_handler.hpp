// SPDX-License-Identifier: BSL-1.0
#pragma once

// The handler of errors that no caller can catch, and the one of debug mode's reports.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/exception_context.hpp>

#include <cstdio>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Prints `context` to stderr in one piece: message, source, creation line, and `what`, the text of the exception,
/// unless that is null.
inline void print_exception_context(const exception_context& context, const char* what) noexcept {
    const bool placed = context.created.line() != 0;
    char line[16] = "";
    if (placed) std::snprintf(line, sizeof line, ":%u", static_cast<unsigned>(context.created.line()));
    std::fprintf(stderr, "asynchio: %s%s%s%s%s%s%s%s\n", context.message.c_str(),
                 context.source.empty() ? "" : "\n  in: ", context.source.c_str(), placed ? "\n  created at: " : "",
                 placed ? context.created.file_name() : "", line, what != nullptr ? "\n  exception: " : "",
                 what != nullptr ? what : "");
}
[[gnu::cold]] inline void print_exception_context(const exception_context& context) noexcept {
    if (!context.exception) return print_exception_context(context, nullptr);
    try {
        std::rethrow_exception(context.exception);
    } catch (const std::exception& e) {
        print_exception_context(context, e.what());
    } catch (...) {
        print_exception_context(context, "an exception that is not a std::exception");
    }
}

/// Reports, in a catch block, that a handler that was called with `context` has thrown.
[[gnu::cold]] inline void handler_failed(const exception_context& context) noexcept {
    try {
        print_exception_context(
            {.message = "Unhandled error in exception handler", .exception = std::current_exception()});
    } catch (...) { // no memory for a message
    }
    print_exception_context(context);
}

/// The handler of a loop: the program's, or the one that prints.
class exception_handler {
public:
    /// Sets the handler; nullptr restores the default. @throws the exceptions of copying the handler.
    template<class Handler>
    void set(Handler&& handler) {
        using kept = copied_t<Handler>;
        if constexpr (std::is_null_pointer_v<kept>) {
            held_ = {};
        } else {
            static_assert(std::is_invocable_v<kept&, event_loop&, const exception_context&>,
                          "an exception handler is called with (event_loop&, const exception_context&)");
            if (detail::is_null_callable(handler))
                held_ = {};
            else
                held_ = counted_ptr<base>(new holder<kept>(pass_on<Handler>(handler)));
        }
    }

    /// Whether the program has set none.
    bool is_default() const noexcept { return !held_; }
    /// Calls the handler. If it throws, that is reported, and then `context`.
    [[gnu::cold]] void call(event_loop& loop, const exception_context& context) const noexcept {
        if (!held_) return print_exception_context(context);
        const counted_ptr<base> handler = held_; // the handler may replace itself
        handler->call(loop, context);
    }

private:
    struct base : counted_object<base> {
        base() = default;
        base(const base&) = delete;
        base& operator=(const base&) = delete;
        virtual ~base() = default;
        virtual void call(event_loop& loop, const exception_context& context) noexcept = 0;
    };
    template<class Handler>
    struct holder final : base {
        explicit holder(Handler h) : handler(std::move(h)) {}
        void call(event_loop& loop, const exception_context& context) noexcept override {
            try {
                handler(loop, context);
            } catch (...) {
                handler_failed(context);
            }
        }
        Handler handler;
    };
    counted_ptr<base> held_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
