// SPDX-License-Identifier: BSL-1.0
#pragma once

// A deadline: a timer that is part of the object that it serves.

#include <asynchio/loop/detail/timer_queue.hpp>
#include <asynchio/loop/event_loop.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A timer that calls `owner.Due()` once, when `when` has passed, unless it is destroyed before or the loop closes. The
/// call may destroy it.
template<class Owner, void (Owner::*Due)() noexcept>
class deadline final : private timer {
public:
    /// A time that has passed already takes effect in the next iteration, behind what is ready by then; with
    /// `in_order`, in the order of calls that are made now.
    deadline(loop_core& loop, nanoseconds_count when, Owner& owner, bool in_order = false)
        : timer(&run), loop_(loop), owner_(owner) {
        const bool passed = when <= loop.now();
        if (passed && in_order)
            loop.schedule_timer(*this);
        else
            loop.add_timer(*this, when, passed);
    }
    deadline(const deadline&) = delete;
    deadline& operator=(const deadline&) = delete;
    ~deadline() {
        if (pending) loop_.remove_timer(*this);
    }

private:
    static void run(ready_item& item) noexcept {
        auto& self = static_cast<deadline&>(static_cast<timer&>(item));
        self.pending = false;
        if (!self.loop_.closing()) (self.owner_.*Due)();
    }

    loop_core& loop_;
    Owner& owner_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
