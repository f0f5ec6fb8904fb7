// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where errors go that no caller is there to catch.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/exception_context.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Prints `context` to stderr: message, source, creation line, and what the exception says.
inline void print_exception_context(const exception_context& context) {
    std::string text = "asynchio: " + context.message;
    if (!context.source.empty()) text += "\n  in: " + context.source;
    if (context.created.line() != 0)
        text += std::string("\n  created at: ") + context.created.file_name() + ":" +
                std::to_string(context.created.line());
    if (context.exception) text += "\n  exception: " + describe(context.exception);
    text += '\n';
    std::fwrite(text.data(), 1, text.size(), stderr);
}

/// The handler of a loop: the user's, or the one that prints.
class exception_handler {
public:
    /// @throws nothing but what copying the handler throws; nullptr restores the default.
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

    /// A handler that throws is itself reported, and what it was given after it.
    void call(event_loop& loop, const exception_context& context) const noexcept {
        const counted_ptr<base> handler = held_; // it may replace itself
        try {
            if (!handler) return print_exception_context(context);
            try {
                handler->handle(loop, context);
            } catch (...) {
                exception_context broken;
                broken.message = "Unhandled error in exception handler";
                broken.exception = std::current_exception();
                print_exception_context(broken);
                print_exception_context(context);
            }
        } catch (...) { // no memory to print with: the loop goes on
        }
    }

private:
    struct base : counted_object<base> {
        base() = default;
        base(const base&) = delete;
        base& operator=(const base&) = delete;
        virtual ~base() = default;
        virtual void handle(event_loop& loop, const exception_context& context) = 0;
    };
    template<class Handler>
    struct holder final : base {
        explicit holder(Handler h) : handler(std::move(h)) {}
        void handle(event_loop& loop, const exception_context& context) override { handler(loop, context); }
        Handler handler;
    };
    counted_ptr<base> held_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
