// SPDX-License-Identifier: BSL-1.0
#pragma once

// A callable with its arguments, on its way to a thread.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/outcome.hpp>

#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <version>
#if defined(__cpp_lib_jthread)
#include <stop_token>
#endif

#pragma GCC visibility push(default)

namespace asynchio::detail {

struct no_stop_source {
    struct token {};
    static token get_token() noexcept { return {}; }
    static void request_stop() noexcept {}
};
#if defined(__cpp_lib_jthread)
using stop_source = std::stop_source;
#else
using stop_source = no_stop_source; // libc++ before 20 has a stop_token only with -fexperimental-library
#endif
using stop_token = decltype(std::declval<stop_source&>().get_token());

/// A callable with its arguments, which returns a result. The callable gets a std::stop_token in front if it takes one.
template<class F, class... Args>
class thread_call {
    static constexpr bool stoppable = std::is_invocable_v<F, stop_token, Args...>;
    static_assert(
        stoppable || std::is_invocable_v<F, Args...>,
        "the callable cannot be called with these arguments (they are copied, and passed as rvalues; std::ref "
        "passes a reference)");
    struct with_token {
        using type = std::invoke_result_t<F, stop_token, Args...>;
    };
    struct without {
        using type = std::invoke_result_t<F, Args...>;
    };

public:
    static constexpr bool can_be_asked_to_stop = stoppable;
    using result = passed_result_t<typename std::conditional_t<stoppable, with_token, without>::type>;
    static_assert(!awaitable<result>,
                  "the callable of to_thread is a plain blocking call: a task that it returns would "
                  "belong to a loop; create_task runs coroutines");

    template<class G, class... Given>
    explicit thread_call(G&& f, Given&&... args) : f_(std::forward<G>(f)), args_(std::forward<Given>(args)...) {}

    void run(outcome<result>& out) noexcept {
        try {
            const auto call = [this](Args&... args) -> decltype(auto) {
                if constexpr (stoppable)
                    return detail::invoke(std::move(f_), stop_.get_token(), std::move(args)...);
                else
                    return detail::invoke(std::move(f_), std::move(args)...);
            };
            if constexpr (std::is_void_v<result>) {
                std::apply(call, args_);
                out.emplace();
            } else {
                out.emplace(std::apply(call, args_));
            }
        } catch (...) {
            out.set_error(std::current_exception(), is_cancellation(std::current_exception()));
        }
    }
    void request_stop() noexcept { stop_.request_stop(); }
    /// Returns what asks the call to stop, and may live longer than the call.
    auto stop_source_of_call() const noexcept { return stop_; }

private:
    F f_;
    std::tuple<Args...> args_;
    [[no_unique_address]] std::conditional_t<stoppable, stop_source, no_stop_source> stop_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
