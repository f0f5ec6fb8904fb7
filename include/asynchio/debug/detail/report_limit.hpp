// SPDX-License-Identifier: BSL-1.0
#pragma once

// A limit to how many reports are made in a minute.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/clock.hpp>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// A limit of five reports in any minute, which counts what it does not allow.
class report_limit {
public:
    /// Whether there may be a report now; if not, it is counted as left out.
    bool allows(asynchio::detail::nanoseconds_count now) noexcept {
        constexpr asynchio::detail::nanoseconds_count minute = 60'000'000'000;
        const bool allowed = made_ < most || now - times_[made_ % most] >= minute;
        if (!allowed) ++left_out_;
        return allowed;
    }
    /// Notes that there was one.
    void note(asynchio::detail::nanoseconds_count now) noexcept { times_[made_++ % most] = now; }
    /// Returns how many were left out since the last call.
    unsigned take_left_out() noexcept { return asynchio::detail::exchange(left_out_, 0U); }

private:
    static constexpr unsigned most = 5;

    asynchio::detail::nanoseconds_count times_[most] = {};
    unsigned long made_ = 0;
    unsigned left_out_ = 0;
};

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
