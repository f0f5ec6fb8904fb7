// SPDX-License-Identifier: BSL-1.0
#pragma once

// The interval at which a busy loop reads the clock and asks for its descriptors.

#include <asynchio/loop/clock.hpp>

#include <cstdint>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Decides when a busy loop asks. Reading the clock costs as much as five task switches, a system call as much as
/// fifty. So the clock is read every 32 quick iterations, and the poller asked when 25 µs have passed; one slow
/// iteration brings the first number down to one, from where it doubles again.
class busy_interval {
public:
    static constexpr nanoseconds_count poll_every = 25'000;

    /// Whether to read the clock in this iteration.
    bool over() noexcept { return --left_ == 0; }
    /// Has the next iteration read the clock, because a timer is due already.
    void end() noexcept { left_ = 1; }

    /// Records that the clock says `time`. @return whether to ask the poller as well.
    bool looked(nanoseconds_count time) noexcept {
        every_ = time - last_look_ > poll_every / 2 ? 1 : every_ < most ? every_ * 2 : most;
        left_ = every_;
        last_look_ = time;
        if (time - last_poll_ < poll_every) return false;
        last_poll_ = time;
        return true;
    }
    /// Records that the loop has slept and has just asked clock and poller.
    void restart(nanoseconds_count time) noexcept {
        last_look_ = last_poll_ = time;
        left_ = every_ = 1;
    }

private:
    static constexpr std::uint32_t most = 32;

    std::uint32_t left_ = 1;
    std::uint32_t every_ = 1;
    nanoseconds_count last_look_ = 0;
    nanoseconds_count last_poll_ = 0;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
