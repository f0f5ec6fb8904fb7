// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one way in which a task waits, and the one hook through which it is told to give up.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/exchange.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/frame.hpp>

#include <coroutine>
#include <source_location>
#include <utility>

namespace asynchio {

/// What an awaiter answers when the task that waits in it is to be cancelled.
enum class cancel_reply : unsigned char {
    refused,   // what is awaited has ended already: the request stays pending, and is delivered when the task runs
    left,      // the awaiter left whatever it stood in: the task runs in the next iteration and gets cancelled_error
    forwarded, // the request was passed on; the task stays parked until that ends, which may swallow the request
};

namespace detail {

struct task_extra {
    shared_text name;
    shared_text message; // of the first cancellation that is not delivered yet
    context_slot context = {};
};

inline task_extra_ptr& task_extra_ptr::operator=(task_extra* made) noexcept {
    if (made == nullptr) return *this;
    static_cast<context_word&>(made->context) = static_cast<context_word&>(*this);
    bits_ = reinterpret_cast<std::uintptr_t>(made);
    return *this;
}

inline context_word& task_extra_ptr::context() noexcept {
    task_extra* extra = get();
    return extra != nullptr ? static_cast<context_word&>(extra->context) : *this;
}

[[gnu::noinline]] inline void task_extra_ptr::drop_slowly() noexcept {
    task_extra* extra = get();
    if (extra == nullptr) context_word::drop();
    delete extra;
    bits_ = 0;
}

inline frame& current_root() noexcept { return static_cast<frame&>(*this_thread.running->current()); }

/// The task in whose name a root runs: that of a branch is the one that armed it, null if that is gone.
inline frame* identity_of(frame* root) noexcept {
    while (root != nullptr && root->has(flag_branch)) {
        const child_owner* owner = root->get_owner();
        root = owner != nullptr ? owner->identity() : nullptr;
    }
    return root;
}

/// The task that runs on this thread, null outside of one.
inline frame* current_task_frame() noexcept {
    if (this_thread.running == nullptr || this_thread.running->current() == nullptr) return nullptr;
    return identity_of(&current_root());
}

inline bool is_current(const ready_item& task) noexcept {
    return this_thread.running != nullptr && this_thread.running->current() == &task;
}

/// Delivers a cancellation. @throws cancelled_error with the message of the request.
[[noreturn, gnu::noinline]] inline void throw_cancelled(frame& task) {
    task.clear(flag_must_cancel);
    task.clear(flag_left);
    throw cancelled_error(task.extra != nullptr ? detail::exchange(task.extra->message, shared_text()) : shared_text());
}

} // namespace detail

/// Base of every awaiter that parks a task: those of this library, and yours.
///
/// An awaiter derives from it, calls `park` last in await_suspend, `wake` when what it waits for has come, and
/// `resumed` first in await_resume. A task waits in one suspension at a time.
///
/// Cancellation: `cancel()` is called at most while the task is parked here. The default answer, refused, makes the
/// wait uninterruptible: the request is delivered when it is over.
/// Threads: the loop's. Another thread wakes a task through call_soon_threadsafe.
/// Lifetime: destroyed while the task is parked (the loop was closed), it must take itself out of what it stands in.
/// Cost: two words in the awaiter; to park and to wake takes a few stores.
class suspension {
public:
    suspension(const suspension&) = delete;
    suspension& operator=(const suspension&) = delete;

    /// Puts the task at the back of the ready queue. Only while parked().
    void wake() noexcept {
        task_->clear(detail::flag_waiting);
        task_->loop->schedule(*task_);
    }

    /// Whether the task waits here: false before, and once it was woken or has left.
    bool parked() const noexcept { return task_ != nullptr && task_->has(detail::flag_waiting); }

    /// What the task waits for, for reports: "sleep", "lock", ...
    virtual const char* waiting_for() const noexcept { return "an awaiter"; }
    /// The task or future it waits for, if that is what it is.
    virtual detail::completion* awaited() const noexcept { return nullptr; }
    /// Whether a request to cancel goes to awaited() instead of to cancel().
    virtual bool forwards() const noexcept { return false; }
    /// Asks to give up. See cancel_reply.
    virtual cancel_reply cancel(const detail::shared_text& message) noexcept {
        (void)message;
        return cancel_reply::refused;
    }

protected:
    suspension() noexcept = default;
    virtual ~suspension() = default;

    /// Parks the running task until wake(). What is behind the awaiter must be ready to be left: a cancellation that
    /// is already pending is delivered at once.
    template<class Promise>
    void park(std::coroutine_handle<Promise> coroutine, const std::source_location& where) noexcept {
        static_assert(std::is_base_of_v<detail::promise_base, Promise>,
                      "this can be awaited only in a coroutine of this library, such as one that returns task<>");
        coroutine.promise().state().where = where;
        detail::frame& root = detail::current_root();
        task_ = &root;
        root.resume_point = coroutine.address();
        root.waiting_for = this;
        root.flags |= detail::flag_waiting | detail::flag_started;
        if (root.has(detail::flag_must_cancel)) [[unlikely]]
            deliver_pending();
    }

    /// Does not wait: puts the running task to the back of the ready queue.
    template<class Promise>
    void give_way(std::coroutine_handle<Promise> coroutine, const std::source_location& where) noexcept;

    /// Whether the task is to be cancelled now that it runs again. Who was granted something gives it on, then.
    bool interrupted() const noexcept {
        return task_ != nullptr && (task_->flags & (detail::flag_must_cancel | detail::flag_left)) != 0;
    }

    /// @throws cancelled_error if interrupted().
    void resumed() {
        if (interrupted()) [[unlikely]]
            detail::throw_cancelled(*task_);
    }

    /// Instead of wake(), in a call that the loop makes: runs the task's next step in it.
    void run_now() noexcept {
        task_->clear(detail::flag_waiting);
        task_->loop->step(*task_);
    }

    /// The task that is or was parked here; null before.
    detail::frame* task() const noexcept { return task_; }

private:
    void deliver_pending() noexcept;

    detail::frame* task_ = nullptr;
};

namespace detail {

/// Puts the running task to the back of the ready queue, to go on from `coroutine`.
template<class Promise>
frame& requeue(std::coroutine_handle<Promise> coroutine, const std::source_location& where) noexcept {
    static_assert(std::is_base_of_v<promise_base, Promise>,
                  "this can be awaited only in a coroutine of this library, such as one that returns task<>");
    coroutine.promise().state().where = where;
    frame& root = current_root();
    root.resume_point = coroutine.address();
    root.set(flag_started);
    root.loop->schedule(root);
    return root;
}

inline suspension* hook_of(const frame& task) noexcept {
    return task.has(flag_waiting) ? static_cast<suspension*>(task.waiting_for) : nullptr;
}

/// Keeps the message of the first request that is not delivered yet; without memory it goes without.
inline void keep_message(frame& task, const shared_text& message, bool replace) noexcept {
    if (message.view().empty() && task.extra == nullptr) return;
    if (task.extra == nullptr) task.extra = new (std::nothrow) task_extra;
    if (task.extra != nullptr && (replace || task.extra->message.view().empty())) task.extra->message = message;
}

/// Asks the hook of a parked task. @return false if it refused.
inline bool interrupt(frame& task, suspension& hook, const shared_text& message) noexcept {
    switch (hook.cancel(message)) {
    case cancel_reply::left:
        keep_message(task, message, true);
        task.set(flag_left);
        hook.wake();
        return true;
    case cancel_reply::forwarded: return true;
    case cancel_reply::refused: break;
    }
    return false;
}

/// Completes a task that was cancelled before its first step, without entering its body.
void end_unstarted(ready_item& item) noexcept;
bool cancel_future(completion& future, const shared_text& message) noexcept;

/// One request to cancel: Task.cancel(). Follows a chain of tasks that await each other in a loop, not by recursion;
/// tasks that wait for each other in a circle (Brent's detection) are left out of it, so that the circle breaks.
/// @return false if it is done already.
inline bool cancel_completion(completion& first, const shared_text& message) noexcept {
    completion* each = &first;
    const completion* seen = nullptr;
    for (std::size_t steps = 0, next_mark = 1;; ++steps) {
        if (each->done() || each->loop == nullptr) return false;
        if (each->has(flag_future)) return cancel_future(*each, message);
        frame& task = static_cast<frame&>(*each);
        if (task.cancels != 0xffff) ++task.cancels;
        if (suspension* hook = hook_of(task)) {
            completion* next = hook->forwards() ? hook->awaited() : nullptr;
            if (next != nullptr && next != seen && next != &first && !next->done() && next->loop != nullptr) {
                if (steps == next_mark) {
                    seen = each;
                    next_mark *= 2;
                }
                each = next;
                continue;
            }
            if (interrupt(task, *hook, message)) return true;
        }
        keep_message(task, message, !task.has(flag_left));
        task.set(flag_must_cancel);
        if (!task.has(flag_started) && !is_current(task)) {
            task.what = ready_item::kind::call;
            task.run = &end_unstarted;
        }
        return true;
    }
}

} // namespace detail

template<class Promise>
void suspension::give_way(std::coroutine_handle<Promise> coroutine, const std::source_location& where) noexcept {
    task_ = &detail::requeue(coroutine, where);
}

inline void suspension::deliver_pending() noexcept {
    detail::frame& root = *task_;
    const detail::shared_text message = root.extra != nullptr ? root.extra->message : detail::shared_text();
    if (forwards() ? detail::cancel_completion(*awaited(), message) : detail::interrupt(root, *this, message))
        root.clear(detail::flag_must_cancel);
}

} // namespace asynchio
