// SPDX-License-Identifier: BSL-1.0
#pragma once

// A call that an object has the loop make one iteration later, as asyncio makes the calls of call_soon.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>
#include <asynchio/loop/event_loop.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The base of an `X` whose `called()` the loop calls in the next iteration: once, however often it is asked for before,
/// and not if the loop closes or this object is destroyed first.
///
/// Cost: four words, no allocation. It is linear in the ready queue to destroy one whose call is on its way.
template<class X>
class loop_call : private ready_item {
public:
    loop_call(const loop_call&) = delete;
    loop_call& operator=(const loop_call&) = delete;

    /// Returns the loop, once bind() was called.
    loop_core& loop() const noexcept { return static_cast<loop_core&>(*loop_); }

protected:
    loop_call() noexcept : ready_item(&run) {}
    ~loop_call() { take_back(); }

    void bind(scheduler& loop) noexcept { loop_ = &loop; }
    /// Whether a call is on its way.
    bool queued() const noexcept { return queued_; }
    /// Has called() called in the next iteration of the loop to which it was bound.
    void call_soon() noexcept {
        if (!loop_->closing() && !detail::exchange(queued_, true)) loop_->schedule(*this);
    }
    void take_back() noexcept {
        if (detail::exchange(queued_, false)) loop_->unschedule(*this);
    }

private:
    static void run(ready_item& item) noexcept {
        auto& self = static_cast<loop_call&>(item);
        self.queued_ = false;
        if (!self.loop_->closing()) static_cast<X&>(self).called();
    }

    bool queued_ = false;
    scheduler* loop_ = nullptr;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
