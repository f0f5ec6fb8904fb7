// SPDX-License-Identifier: BSL-1.0
#pragma once

// A decision that is made one iteration later, as asyncio's done-callbacks make it.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>

#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The base of a wait that, when told that a child has ended, decides in the next iteration what follows. It needs two
/// words in the ready queue instead of a callback for each child.
class deferred_call : private ready_item {
public:
    deferred_call(const deferred_call&) = delete;
    deferred_call& operator=(const deferred_call&) = delete;

    /// Returns the loop, once begin() was called.
    event_loop& loop() const noexcept { return *loop_; }

protected:
    deferred_call() noexcept : ready_item(&run) {}
    ~deferred_call() {
        if (queued_) loop_->unschedule(*this);
    }

    /// Binds to the running loop.
    void begin() { loop_ = &get_running_loop(); }

    /// Has decide() called in the next iteration; once, however often it is called before.
    void decide_soon() noexcept {
        if (!detail::exchange(queued_, true)) loop_->schedule(*this);
    }
    virtual void decide() noexcept = 0;

private:
    static void run(ready_item& item) noexcept {
        auto& self = static_cast<deferred_call&>(item);
        self.queued_ = false;
        if (!self.loop_->closing()) self.decide();
    }

    event_loop* loop_ = nullptr;
    bool queued_ = false;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
