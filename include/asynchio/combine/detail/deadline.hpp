// SPDX-License-Identifier: BSL-1.0
#pragma once

// A timer inside something that waits.

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/loop/detail/timer_queue.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Calls `owner.on_deadline()` once, when `when` has passed; destroying it takes that back.
template<class Owner>
class deadline final : private timer {
public:
    /// A point that has passed: in the next iteration, behind what is ready by then; or, with `in_order`, in the order of
    /// calls made now.
    deadline(event_loop& loop, nanoseconds_count when, Owner& owner, bool in_order = false)
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
        if (!self.loop_.closing()) self.owner_.on_deadline();
    }

    event_loop& loop_;
    Owner& owner_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
