// SPDX-License-Identifier: BSL-1.0
#pragma once

// What other threads hold of a loop.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/detail/mailbox.hpp>

#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

class event_loop;

/// A copyable reference to a loop: it says "closed" instead of dangling.
///
/// Threads: any. Lifetime: independent of the loop's.
/// See also: event_loop::ref, run_coroutine_threadsafe.
class loop_ref {
public:
    loop_ref() noexcept = default;
    loop_ref(detail::counted_ptr<detail::mailbox> box, event_loop* loop) noexcept
        : mailbox_(std::move(box)), loop_(loop) {}

    bool is_closed() const noexcept { return !mailbox_ || mailbox_->closed(); }

    /// Has the loop call `f(args...)`, in a later iteration; wakes it if it sleeps. Posts of one thread keep their
    /// order. @throws std::logic_error when the loop is closed, std::invalid_argument for a null callable.
    template<class F, class... Args>
    callback_handle call_soon_threadsafe(F&& f, Args&&... args) const {
        detail::require_callable(f, "call_soon_threadsafe");
        if (is_closed()) throw std::logic_error("call_soon_threadsafe: Event loop is closed");
        auto* call = detail::make_callback<detail::callback>(*loop_, std::forward<F>(f), std::forward<Args>(args)...);
        callback_handle handle(*call);
        call->retain();
        call->posted = true;
        if (post(*call)) return handle;
        call->release();
        throw std::logic_error("call_soon_threadsafe: Event loop is closed");
    }

    /// Hands an item over. @return false, and the item stays the caller's, when the loop is closed.
    bool post(detail::ready_item& item) const noexcept { return mailbox_ && mailbox_->post(item); }

    /// The loop itself, to be used only on its own thread, in something that it runs.
    event_loop* get() const noexcept { return loop_; }

    friend bool operator==(const loop_ref& a, const loop_ref& b) noexcept { return a.mailbox_ == b.mailbox_; }

private:
    detail::counted_ptr<detail::mailbox> mailbox_;
    event_loop* loop_ = nullptr;
};

} // namespace asynchio

#pragma GCC visibility pop
