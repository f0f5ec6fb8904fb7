// SPDX-License-Identifier: BSL-1.0
#pragma once

// A reference to a loop that other threads may hold.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/detail/mailbox.hpp>

#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

class event_loop;

/// A copyable reference to a loop, which reports that the loop is closed instead of dangling.
///
/// Threads: any thread may use it, also several at once.
/// Lifetime: independent of the loop.
/// Cost: a counted pointer; a call from another thread costs an allocation, and a system call only if the loop sleeps.
/// Example: `const aio::loop_ref loop = aio::get_running_loop().ref(); loop.call_soon_threadsafe(f);`
/// See also: event_loop::ref, run_coroutine_threadsafe.
class loop_ref {
public:
    loop_ref() noexcept = default;

    /// Whether the loop is closed, or the reference is empty. The loop may close right after the call.
    bool is_closed() const noexcept { return !mailbox_ || mailbox_->closed(); }

    /// Has the loop call `f(args...)` in a later iteration; wakes it if it sleeps. Calls from one thread keep their
    /// order.
    /// @param f the callable. @param args its arguments. Both are copied in, or moved in by take(), and destroyed on
    /// the loop's thread. @return a handle that any thread may use to take the call back.
    /// @throws std::logic_error when the loop is closed, std::invalid_argument for a null callable.
    template<class F, class... Args>
    callback_handle call_soon_threadsafe(F&& f, Args&&... args) const {
        detail::require_callable(f, "call_soon_threadsafe");
        if (is_closed()) throw std::logic_error("call_soon_threadsafe: Event loop is closed");
        auto* call =
            detail::make_callback<detail::callback>(*mailbox_->loop, std::forward<F>(f), std::forward<Args>(args)...);
        auto handle = detail::access::make<callback_handle>(*call);
        call->retain();
        call->posted = true;
        if (mailbox_->post(*call)) return handle;
        call->release();
        throw std::logic_error("call_soon_threadsafe: Event loop is closed");
    }

    /// Returns the loop itself, which may be used only on its own thread, in a call or task that it runs.
    event_loop* get() const noexcept { return loop_; }

    friend bool operator==(const loop_ref& a, const loop_ref& b) noexcept { return a.mailbox_ == b.mailbox_; }

private:
    friend struct detail::access;
    loop_ref(detail::counted_ptr<detail::mailbox> box, event_loop* loop) noexcept
        : mailbox_(std::move(box)), loop_(loop) {}

    detail::counted_ptr<detail::mailbox> mailbox_;
    event_loop* loop_ = nullptr;
};

} // namespace asynchio

#pragma GCC visibility pop
