// SPDX-License-Identifier: BSL-1.0
#pragma once

// An interval: a series of points in time that do not drift.

#include <asynchio/loop/clock.hpp>
#include <asynchio/task/sleep.hpp>

#include <chrono>
#include <coroutine>
#include <source_location>
#include <stdexcept>

#pragma GCC visibility push(default)

namespace asynchio {

/// The ways in which an interval goes on when a tick is taken late.
enum class missed_ticks : unsigned char {
    /// The ticks that were missed follow one by one without a pause, until the interval has caught up.
    burst,
    /// The next tick comes one period after the late one was taken.
    delay,
    /// The next tick comes at the next multiple of the period from the start; those between are left out.
    skip,
};

class interval;

namespace detail {

class [[nodiscard("waiting begins only when this is awaited")]] tick_awaiter final : public sleep_awaiter<true> {
public:
    tick_awaiter(interval& ticks, nanoseconds_count scheduled) noexcept
        : sleep_awaiter(scheduled), ticks_(ticks), scheduled_(scheduled) {}
    tick_awaiter(tick_awaiter&& other) noexcept : tick_awaiter(other.ticks_, other.scheduled_) {}
    tick_awaiter& operator=(tick_awaiter&&) = delete;
    ~tick_awaiter() = default;

    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        missed_ = running_core().now() > scheduled_;
        sleep_awaiter::await_suspend(coroutine, where);
    }
    inline time_point await_resume();

    const char* waiting_for() const noexcept override { return "interval"; }

private:
    interval& ticks_;
    nanoseconds_count scheduled_;
    bool missed_ = false;
};

} // namespace detail

/// A series of ticks that are one period apart, counted from a start, however long the work between them takes.
///
/// Behaviour: the first tick is due when the interval is made, and each later one a period after the one before it. A
/// tick is late when its time had passed before next() was awaited, or when the loop was held up for a whole period;
/// missed_ticks says what follows then. The few microseconds by which a loop wakes up late move no tick.
///
/// Threads: the thread of the loop on which it is made.
/// Lifetime: it is a plain value; it must outlive a wait in next().
/// Cost: that of sleep_until for each tick.
/// Differs from Python: asyncio has nothing like it. The meanings are those of tokio.
/// Example: `aio::interval ticks(1s); for (;;) { co_await ticks.next(); report(); }`
/// See also: sleep_until, event_loop::call_at.
class interval {
public:
    /// @param period the time between two ticks. @param missed what follows a late tick.
    /// @throws std::invalid_argument for a period that is not positive, or a NaN.
    template<class Rep, class Period>
    explicit interval(std::chrono::duration<Rep, Period> period, missed_ticks missed = missed_ticks::burst)
        : period_(detail::to_nanoseconds(period)), next_(clock::now().time_since_epoch().count()), missed_(missed) {
        if (period_ <= 0) throw std::invalid_argument("interval: the period is not positive");
    }

    /// Awaitable: waits for the next tick. A tick that is due already lets everything that is ready run once, as
    /// yield() does. Tasks that wait at the same time get the same tick.
    ///
    /// @return the time at which the tick was due, which is not later than now.
    /// Cancellation: ends the wait; the tick is not taken, so that the next call returns it.
    detail::tick_awaiter next() noexcept { return detail::tick_awaiter(*this, next_); }

    /// Returns the time between two ticks.
    duration period() const noexcept { return duration(period_); }

private:
    friend detail::tick_awaiter;

    /// Called when the tick of `scheduled` was taken.
    void took(detail::nanoseconds_count scheduled, bool missed) noexcept {
        if (scheduled != next_) return; // another task has taken it, too
        next_ = detail::later(scheduled, period_);
        if (missed_ == missed_ticks::burst) return;
        const detail::nanoseconds_count now = clock::now().time_since_epoch().count();
        if (missed_ == missed_ticks::skip)
            next_ = detail::later(now, period_ - (now - scheduled) % period_);
        else if (missed || now >= next_)
            next_ = detail::later(now, period_);
    }

    detail::nanoseconds_count period_;
    detail::nanoseconds_count next_;
    missed_ticks missed_;
};

inline time_point detail::tick_awaiter::await_resume() {
    sleep_awaiter::await_resume();
    ticks_.took(scheduled_, missed_);
    return time_point(duration(scheduled_));
}

} // namespace asynchio

#pragma GCC visibility pop
