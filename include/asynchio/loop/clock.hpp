// SPDX-License-Identifier: BSL-1.0
#pragma once

// The clock of the running loop. Everything in the library uses this clock, so that a test can run in virtual time.

#include <asynchio/loop/detail/scheduler.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <type_traits>

#pragma GCC visibility push(default)

namespace asynchio {

/// The unit in which the library measures time. Functions that take a duration take one of any unit.
using duration = std::chrono::nanoseconds;

/// A steady clock that follows the loop that runs on this thread: its `now()` is the time of that loop, virtual if the
/// loop's is, and the time of std::chrono::steady_clock outside of a loop. In real time all loops share one time line.
///
/// Threads: any; each thread sees the time of its own loop.
/// Example: `const aio::time_point end = aio::clock::now() + 5s;`
struct clock {
    using duration = asynchio::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<clock, duration>;
    /// Time never goes back.
    static constexpr bool is_steady = true;

    /// Returns the time of the loop that runs on this thread, or else of std::chrono::steady_clock.
    static inline time_point now() noexcept;
};

/// A point in time of asynchio::clock.
using time_point = clock::time_point;

namespace detail {

/// Nanoseconds since the clock's epoch.
using nanoseconds_count = std::int64_t;

inline constexpr nanoseconds_count far_future = std::numeric_limits<nanoseconds_count>::max();

inline nanoseconds_count steady_now() noexcept {
    return std::chrono::duration_cast<duration>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Returns any duration in nanoseconds, rounded up, and clamped to the range. A wait is never shorter than what was
/// asked for. @throws std::invalid_argument for a NaN.
template<class Rep, class Period>
constexpr nanoseconds_count
to_nanoseconds(std::chrono::duration<Rep, Period> d) noexcept(!std::chrono::treat_as_floating_point_v<Rep>) {
    using wide = std::chrono::duration<long double, std::nano>;
    if constexpr (std::is_same_v<std::chrono::duration<Rep, Period>, duration>) {
        return d.count();
    } else {
        const long double n = std::chrono::duration_cast<wide>(d).count();
        if constexpr (std::chrono::treat_as_floating_point_v<Rep>)
            if (!(n == n)) throw std::invalid_argument("a duration or point in time is not a number (NaN)");
        if (n >= static_cast<long double>(far_future)) return far_future;
        if (n <= -static_cast<long double>(far_future)) return -far_future;
        const auto whole = static_cast<nanoseconds_count>(n);
        return whole < n ? whole + 1 : whole;
    }
}

/// Returns the nanoseconds from the clock's epoch to `t`, clamped to the range.
template<class D>
constexpr nanoseconds_count
to_nanoseconds(std::chrono::time_point<clock, D> t) noexcept(!std::chrono::treat_as_floating_point_v<typename D::rep>) {
    return detail::to_nanoseconds(t.time_since_epoch());
}

/// Returns `base + d`, clamped to the range; a negative `d` counts as 0.
constexpr nanoseconds_count later(nanoseconds_count base, nanoseconds_count d) noexcept {
    if (d <= 0) return base;
    return d > far_future - base ? far_future : base + d;
}

} // namespace detail

inline clock::time_point clock::now() noexcept {
    const detail::scheduler* const loop = detail::this_thread.running;
    return time_point(duration(loop != nullptr ? loop->now() : detail::steady_now()));
}

} // namespace asynchio

#pragma GCC visibility pop
