// SPDX-License-Identifier: BSL-1.0
#pragma once

// A result that the program sets: the bridge from callbacks to coroutines.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/task/handle_base.hpp>

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A copyable handle to a result that is set once, by hand. It belongs to the loop that runs when it is made.
///
/// Behaviour: `co_await f` returns `const T&`, and `co_await std::move(f)` moves the result out. Setting the result
/// resumes no task on the spot: the waiting tasks run in the next iteration, in the order in which they came.
/// Cancellation: cancelling a task that awaits a future cancels the future, and so every other task that awaits it;
/// shield(future) prevents that.
/// Threads: the thread of the loop; another thread sets it through call_soon_threadsafe.
/// Lifetime: the shared state lives as long as a handle or an awaiting task.
/// Cost: one allocation.
/// Example: `aio::future<int> f; on_answer([f](int n) { f.set_result(n); }); int n = co_await f;`
/// See also: event_loop::create_future, task_handle.
template<class T = void>
class future : public handle_base {
    using state = detail::future_state<T>;

public:
    using value_type = T;

    /// Makes a pending future of the running loop. @throws std::logic_error without a running loop.
    future() : future(get_running_loop()) {}
    /// Makes a pending future of a loop, which need not run. @throws std::logic_error if the loop is closed.
    explicit future(event_loop& loop) : handle_base(make(loop)) {}

    /// Completes the future with a value.
    /// @param value the result; nothing for `future<void>`. @throws invalid_state_error if the future is done already.
    template<class... U>
    void set_result(U&&... value) const {
        static_assert(sizeof...(U) == (std::is_void_v<T> ? 0 : 1),
                      "set_result of a future<void> takes nothing, that of another one value");
        constexpr bool converts = std::is_void_v<T> || std::is_reference_v<T> || (std::is_convertible_v<U, T> && ...);
        static_assert(converts, "set_result takes what converts to the future's type without an explicit conversion");
        state& s = pending("set_result");
        if constexpr (converts) s.emplace(std::forward<U>(value)...);
        s.complete();
    }

    /// Completes the future with an exception.
    /// @param error a pointer that is not null.
    /// @throws invalid_state_error if the future is done already, std::invalid_argument for a null pointer.
    void set_exception(std::exception_ptr error) const {
        state& s = pending("set_exception");
        if (!error) throw std::invalid_argument("set_exception: the exception_ptr is null");
        s.set_error(std::move(error), false);
        s.complete();
    }
    /// Completes the future with an exception.
    /// @param error an exception object, which is copied or moved. @throws invalid_state_error if the future is done
    /// already.
    template<class E>
        requires(!std::convertible_to<E, std::exception_ptr>)
    void set_exception(E&& error) const {
        set_exception(std::make_exception_ptr(std::forward<E>(error)));
    }

    /// Returns a reference to the result.
    /// @throws invalid_state_error while the future is pending, its exception, cancelled_error if it was cancelled.
    decltype(auto) result() const { return detail::take_result<T, false>(done_or_throw("result")); }

    /// Has `f(future)` or `f()` called through the loop when the future is done; in the next iteration if it is done
    /// already. @return an id for remove_done_callback(). @throws std::logic_error when the loop is closed.
    template<class F>
    std::uint64_t add_done_callback(F&& f) const {
        return add_callback<future>(std::forward<F>(f));
    }

    detail::handle_awaiter<T, false> operator co_await() const& {
        get("co_await");
        return detail::handle_awaiter<T, false>(*this);
    }
    detail::handle_awaiter<T, true> operator co_await() && {
        get("co_await");
        return detail::handle_awaiter<T, true>(std::move(*this));
    }

private:
    friend struct detail::access;
    explicit future(detail::shared_state* counted) noexcept : handle_base(counted) {}

    static detail::shared_state* make(event_loop& loop) {
        detail::core_of(loop).require_usable("future");
        return new state(detail::core_of(loop));
    }
    state& pending(const char* what) const {
        detail::shared_state& c = get(what);
        if (c.done()) detail::refuse<invalid_state_error>(what, "the future is done already");
        return static_cast<state&>(static_cast<detail::future_base&>(c));
    }
};

template<class T>
future<T> event_loop::create_future() {
    return future<T>(*this);
}

} // namespace asynchio

#pragma GCC visibility pop
