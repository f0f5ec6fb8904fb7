// SPDX-License-Identifier: BSL-1.0
#pragma once

// Operations of Asio, the library without Boost, awaited by tasks of this library: a completion token. It needs
// Asio 1.22 or later.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/task/completion.hpp>
#include <asynchio/task/task.hpp>

#include <asio/async_result.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/dispatch.hpp>
#include <asio/error_code.hpp>
#include <asio/system_error.hpp>

#include <exception>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::asio {

/// The type of use_awaitable.
///
/// Threads: a plain value.
struct use_awaitable_t {
    explicit use_awaitable_t() = default;
};

/// The completion token that makes an operation of Asio a task of this library.
///
/// Behaviour: the operation begins when the task is awaited. The task returns what the operation gives: nothing, a
/// value, or a std::tuple of several. An error code is thrown as asio::system_error, an exception as it is. If the
/// operation is destroyed without an end, as with its io_context, the task gets a std::logic_error.
/// Cancellation: the request is passed on to the operation, as asio::cancellation_type::terminal, and the operation is
/// waited for, since it may use buffers of the task; then cancelled_error is thrown, also if a result has come
/// meanwhile, which is dropped. An operation that cannot be cancelled, or that has no executor of its own, is waited
/// for to its end.
/// Threads: any threads may run the io_context, this one as well, with the loop as its guest (see
/// event_loop::run_ready). As everywhere in Asio, what is to be cancelled needs a strand if several threads run it.
/// Lifetime: a loop that is closed destroys tasks that wait; the program ends their operations before.
/// Cost: two allocations for each operation beside those of Asio, and a post to the loop.
/// Example: `std::size_t n = co_await socket.async_read_some(buffer, aio::asio::use_awaitable);`
/// See also: completion.
inline constexpr use_awaitable_t use_awaitable{};

namespace detail {

/// What the handler of an operation shares with requests to cancel it. All but the slot is used on the operation's
/// executor only.
struct operation {
    ::asio::cancellation_signal stop;
    bool over = false; // a request that comes later would reach what may be gone
};

template<class T>
inline constexpr bool tells_error = std::is_same_v<T, ::asio::error_code> || std::is_same_v<T, std::exception_ptr>;

template<class... Values>
struct value_of {
    using type = std::tuple<Values...>;
};
template<class Value>
struct value_of<Value> {
    using type = Value;
};
template<>
struct value_of<> {
    using type = void;
};

/// The type that a task returns for an operation that ends with `Results`.
template<class... Results>
struct result_of : value_of<Results...> {};
template<class First, class... Rest>
    requires tells_error<First>
struct result_of<First, Rest...> : value_of<Rest...> {};

/// Asio calls it at the end of an operation.
template<class T>
class handler {
public:
    using cancellation_slot_type = ::asio::cancellation_slot;

    handler(completion_callback<T> done, std::shared_ptr<operation> shared) noexcept
        : done_(std::move(done)), operation_(std::move(shared)) {}

    cancellation_slot_type get_cancellation_slot() const noexcept { return operation_->stop.slot(); }

    template<class... Results>
    void operator()(Results... results) const {
        operation_->over = true;
        end(std::move(results)...);
    }

private:
    template<class First, class... Rest>
        requires tells_error<First>
    void end(First error, Rest... values) const {
        if (!error)
            give(std::move(values)...);
        else if constexpr (std::is_same_v<First, std::exception_ptr>)
            done_.fail(std::move(error));
        else
            done_.fail(::asio::system_error(error));
    }
    template<class... Values>
    void end(Values... values) const {
        give(std::move(values)...);
    }
    template<class... Values>
    void give(Values... values) const {
        if constexpr (sizeof...(Values) < 2)
            done_(std::move(values)...);
        else
            done_(T(std::move(values)...));
    }

    completion_callback<T> done_;
    std::shared_ptr<operation> operation_;
};

/// Requests that an operation ends, on the executor where it ends.
template<class Executor>
void cancel(const Executor& executor, const std::shared_ptr<operation>& shared) {
    ::asio::dispatch(executor, [shared] {
        if (!shared->over) shared->stop.emit(::asio::cancellation_type::terminal);
    });
}

template<class Initiation>
concept with_executor = requires(const Initiation& start) { start.get_executor(); };

/// Waits for the end of an operation, whatever requests come, and calls `cancel()` at each.
template<class T, class Cancel>
task<T> end_of(completion<T>& done, Cancel& cancel) {
    std::exception_ptr request;
    for (;;) {
        try {
            if constexpr (std::is_void_v<T>) {
                co_await done;
                if (!request) co_return;
            } else {
                T result = co_await done;
                if (!request) co_return result;
            }
            break;
        } catch (const cancelled_error&) {
            if (!request) request = std::current_exception();
        } catch (...) {
            if (!request) throw;
            break;
        }
        cancel();
    }
    std::rethrow_exception(request);
}

/// The coroutine of an operation that begins by `start(handler, arguments...)`.
template<class T, class Initiation, class... Args>
task<T> perform(Initiation start, std::tuple<Args...> arguments) {
    completion<T> done;
    const auto shared = std::make_shared<operation>();
    const auto begin = [&](Args&... each) {
        std::move(start)(handler<T>(done.callback(), shared), std::move(each)...);
    };
    if constexpr (with_executor<Initiation>) {
        auto request = [executor = start.get_executor(), &shared] { detail::cancel(executor, shared); };
        std::apply(begin, arguments);
        co_return co_await detail::end_of(done, request);
    } else {
        auto ignore = [] {};
        std::apply(begin, arguments);
        co_return co_await detail::end_of(done, ignore);
    }
}

} // namespace detail

} // namespace asynchio::asio

/// @cond
/// Makes tasks of operations that get use_awaitable.
template<class... Results>
class asio::async_result<asynchio::asio::use_awaitable_t, void(Results...)> {
    using result = typename asynchio::asio::detail::result_of<std::decay_t<Results>...>::type;

public:
    using return_type = asynchio::task<result>;

    /// Makes a task that begins the operation when it is awaited.
    template<class Initiation, class... Args>
    static return_type initiate(Initiation start, asynchio::asio::use_awaitable_t, Args... arguments) {
        return asynchio::asio::detail::perform<result>(std::move(start), std::tuple<Args...>(std::move(arguments)...));
    }
};
/// @endcond

#pragma GCC visibility pop
