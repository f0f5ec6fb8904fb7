// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting for time to pass.

#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/timer_queue.hpp>
#include <asynchio/task/suspension.hpp>

#include <chrono>
#include <coroutine>
#include <source_location>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Suspends until a deadline. The timer runs in the iteration in which it is due, the task in the next one.
template<bool Absolute>
class [[nodiscard]] sleep_awaiter : public suspension, private timer {
public:
    /// @param when a point in time if `Absolute`, else a duration; in nanoseconds.
    explicit sleep_awaiter(nanoseconds_count when) noexcept : timer(&expired), when_(when) {}
    sleep_awaiter(sleep_awaiter&& other) noexcept : sleep_awaiter(other.when_) {}
    sleep_awaiter& operator=(sleep_awaiter&&) = delete;
    ~sleep_awaiter() {
        if (pending) loop().remove_timer(*this);
    }

    static bool await_ready() noexcept { return false; }

    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        if (arm())
            park(coroutine, where);
        else
            give_way(coroutine, where);
    }

    void await_resume() { resumed(); }

    const char* waiting_for() const noexcept override { return "sleep"; }
    cancel_reply cancel(const shared_text&) noexcept override {
        if (armed()) loop().remove_timer(*this);
        return cancel_reply::left;
    }

private:
    /// Sets the timer. @return false if the time has come already.
    [[gnu::noinline]] bool arm() {
        auto& loop = running_core();
        const nanoseconds_count now = Absolute || when_ > 0 ? loop.now() : 0;
        const nanoseconds_count deadline = Absolute ? when_ : later(now, when_);
        if (deadline <= now) return false;
        loop.add_timer(*this, deadline);
        return true;
    }
    static void expired(ready_item& item) noexcept {
        auto& self = static_cast<sleep_awaiter&>(static_cast<timer&>(item));
        self.pending = false;
        if (self.parked()) self.wake();
    }
    loop_core& loop() const noexcept { return static_cast<loop_core&>(*task()->loop); }

    nanoseconds_count when_;
};

/// A sleep that returns a value.
template<class T>
class [[nodiscard]] sleep_with_result : public sleep_awaiter<false> {
public:
    sleep_with_result(nanoseconds_count when, T result) : sleep_awaiter(when), result_(std::move(result)) {}
    T await_resume() {
        sleep_awaiter::await_resume();
        return std::move(result_);
    }

private:
    T result_;
};

} // namespace detail

/// Awaitable: waits for a duration.
///
/// @param d the duration; it waits for at least as long. 0 or less lets everything that is ready run once, as yield()
/// does.
/// @throws std::invalid_argument for a NaN.
/// Cancellation: ends the sleep; its timer is removed at once.
/// Threads: the thread of the loop.
/// Cost: O(log n) in the number of timers; no allocation beyond the timer queue's growth.
/// Example: `co_await aio::sleep(100ms);`
/// See also: sleep_until, yield, wait_for.
template<class Rep, class Period>
detail::sleep_awaiter<false> sleep(std::chrono::duration<Rep, Period> d) noexcept(noexcept(detail::to_nanoseconds(d))) {
    return detail::sleep_awaiter<false>(detail::to_nanoseconds(d));
}

/// Awaitable: waits for a duration, and returns a value.
///
/// @param d the duration; 0 or less lets everything that is ready run once. @param result the value, which is kept
/// meanwhile.
/// @return the value. @throws std::invalid_argument for a NaN.
/// Cancellation: ends the sleep; its timer is removed at once.
template<class Rep, class Period, class T>
detail::sleep_with_result<std::decay_t<T>> sleep(std::chrono::duration<Rep, Period> d, T&& result) {
    return detail::sleep_with_result<std::decay_t<T>>(detail::to_nanoseconds(d), std::forward<T>(result));
}

/// Awaitable: waits until a point in time.
///
/// @param when the point on asynchio::clock; one that has passed yields once. @throws std::invalid_argument for a NaN.
/// Cancellation: ends the sleep; its timer is removed at once.
template<class D>
detail::sleep_awaiter<true>
sleep_until(std::chrono::time_point<clock, D> when) noexcept(noexcept(detail::to_nanoseconds(when))) {
    return detail::sleep_awaiter<true>(detail::to_nanoseconds(when));
}

} // namespace asynchio

#pragma GCC visibility pop
