// SPDX-License-Identifier: BSL-1.0
#pragma once

// The base of all awaiters: the one way in which a task waits, and in which it is told to give up.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/detail/frame.hpp>
#include <asynchio/task/detail/running_root.hpp>

#include <coroutine>
#include <cstdint>
#include <exception>
#include <source_location>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

class handle_base;

/// The answer of an awaiter when the task that waits in it is to be cancelled.
enum class cancel_reply : unsigned char {
    /// The wait is over already or cannot be interrupted: the request stays pending until the task runs.
    refused,
    /// The awaiter has left the queue in which it stood: the task runs in the next iteration and gets cancelled_error.
    left,
    /// The request was passed on: the task stays parked until what it waits for has ended, which may swallow the
    /// request.
    forwarded,
};

namespace detail {

struct task_extra final : task_extra_base {
    explicit task_extra(shared_text given = {}) noexcept : name(std::move(given)) {}

    shared_text name;
    shared_text message; // that of the first cancellation that is not delivered yet
};

/// Delivers a cancellation. @throws cancelled_error with the message of the request.
[[noreturn, gnu::noinline]] inline void throw_cancelled(frame& task) {
    task.deliver_request();
    throw cancelled_error(task.extra != nullptr ? detail::exchange(task.extra->message, shared_text()) : shared_text());
}

class fork;

} // namespace detail

/// The base of every awaiter that parks a task, in this library and in programs.
///
/// Behaviour: an awaiter derives from it, calls `park` last in await_suspend, `wake` when what it waits for has come,
/// and `resumed` first in await_resume. A task waits in one suspension at a time.
/// Cancellation: `cancel()` is called only while the task is parked here. The default answer, refused, makes the wait
/// uninterruptible: the request is delivered when the wait is over.
/// Threads: the thread of the loop. Another thread wakes a task through call_soon_threadsafe.
/// Lifetime: if it is destroyed while the task is parked (the loop was closed), it must leave the queue in which it
/// stands.
/// Cost: two words in the awaiter; to park and to wake takes a few stores.
class suspension {
public:
    suspension(const suspension&) = delete;
    suspension& operator=(const suspension&) = delete;

    /// Puts the task at the back of the ready queue. It may be called while parked().
    void wake() noexcept {
        task_->stop_waiting();
        task_->loop->schedule(*task_);
    }

    /// Whether the task waits here: false before, and once it was woken or has left.
    bool parked() const noexcept { return task_ != nullptr && task_->has(detail::flag_waiting); }

    /// Returns what the task waits for, for reports: "sleep", "lock", ...
    virtual const char* waiting_for() const noexcept { return "an awaiter"; }
    /// Returns a handle of the task or future that it waits for; an empty one if it waits for something else.
    handle_base awaited() const noexcept; // task/handle_base.hpp
    /// Asks the awaiter to give up. @param message of the request. @return what it has done.
    virtual cancel_reply cancel(const cancel_message& message) noexcept {
        (void)message;
        return cancel_reply::refused;
    }

protected:
    suspension() noexcept = default;
    virtual ~suspension() = default;

    /// Parks the running task until wake(). The awaiter must be ready to be cancelled: a request that is already
    /// pending is delivered at once.
    template<class Promise>
    void park(std::coroutine_handle<Promise> coroutine, const std::source_location& where) {
        static_assert(std::is_base_of_v<detail::promise_base, Promise>,
                      "this can be awaited only in a coroutine of this library, such as one that returns task<>");
        coroutine.promise().state().stand_at(where);
        detail::ready_item* const current = detail::this_thread.current;
        if (current == nullptr) [[unlikely]]
            return park_in_call(coroutine.address());
        park_root(static_cast<detail::frame&>(*current), coroutine.address());
    }
    /// Parks `root`, which is running_root(coroutine).
    template<class Promise>
    void park(detail::frame& root, std::coroutine_handle<Promise> coroutine,
              const std::source_location& where) noexcept {
        coroutine.promise().state().stand_at(where);
        park_root(root, coroutine.address());
    }

    /// Undoes park() in await_suspend: the task does not wait after all.
    void unpark() noexcept { task_->stop_waiting(); }

    /// Puts the running task to the back of the ready queue, without waiting for anything.
    template<class Promise>
    void give_way(std::coroutine_handle<Promise> coroutine, const std::source_location& where);

    /// Whether the task is to be cancelled now that it runs again. An awaiter that was granted something passes it on
    /// then.
    bool interrupted() const noexcept { return task_ != nullptr && task_->is_asked(); }

    /// Delivers a cancellation. @throws cancelled_error if interrupted().
    void resumed() {
        if (interrupted()) [[unlikely]]
            detail::throw_cancelled(*task_);
    }

    /// Called if what was awaited was cancelled, which the task gets as its result: a request that came after the
    /// wake-up is delivered with it, and the first one of several messages is seen.
    void deliver_with_result() noexcept;

    /// Runs the next step of the task at once, in place of wake(); for a call that the loop makes.
    void run_now() noexcept {
        task_->stop_waiting();
        task_->loop->step_in_call(*task_);
    }

    /// Returns the task that is or was parked here; null before.
    detail::frame* task() const noexcept { return task_; }

private:
    friend struct detail::access;

    /// Returns the task or future that it waits for; null if it waits for something else.
    virtual detail::shared_state* awaited_state() const noexcept { return nullptr; }
    /// Returns the next one of all tasks and futures that it waits for, null behind the last one. @param place 0 at
    /// first; the call moves it on.
    virtual detail::shared_state* next_awaited(std::uintptr_t& place) noexcept {
        return place++ == 0 ? awaited_state() : nullptr;
    }
    /// Whether a request to cancel goes to awaited_state() instead of to cancel().
    virtual bool forwards() const noexcept { return false; }
    /// Returns the fork through which a request to cancel goes to several others; cancel() is not called then. Or null.
    virtual detail::fork* forks() noexcept { return nullptr; }

    [[gnu::always_inline]] void park_root(detail::frame& root, void* coroutine) noexcept {
        task_ = &root;
        root.wait_in(*this, coroutine);
        if (root.has(detail::flag_must_cancel)) [[unlikely]]
            deliver_pending();
    }
    [[gnu::noinline, gnu::cold]] void park_in_call(void* coroutine) {
        park_root(detail::root_in_call(coroutine), coroutine);
    }
    void deliver_pending() noexcept;

    detail::frame* task_ = nullptr;
};

namespace detail {

[[gnu::always_inline]] inline frame& requeue(frame& root, void* coroutine) noexcept {
    root.resume_point = coroutine;
    root.note_started();
    root.loop->schedule(root);
    return root;
}
[[gnu::noinline, gnu::cold]] inline frame& requeue_in_call(void* coroutine) {
    return requeue(root_in_call(coroutine), coroutine);
}

/// Puts the running task to the back of the ready queue, to go on from `coroutine`.
template<class Promise>
frame& requeue(std::coroutine_handle<Promise> coroutine, const std::source_location& where) {
    static_assert(std::is_base_of_v<promise_base, Promise>,
                  "this can be awaited only in a coroutine of this library, such as one that returns task<>");
    coroutine.promise().state().stand_at(where);
    ready_item* const current = this_thread.current;
    if (current == nullptr) [[unlikely]]
        return requeue_in_call(coroutine.address());
    return requeue(static_cast<frame&>(*current), coroutine.address());
}

inline suspension* hook_of(const frame& task) noexcept {
    return task.has(flag_waiting) ? static_cast<suspension*>(task.waiting_for) : nullptr;
}

/// Keeps the message of the first request that is not delivered yet; without memory it goes without.
[[gnu::cold]] inline void keep_message(frame& task, const shared_text& message, bool replace) noexcept {
    if (message.view().empty() && task.extra == nullptr) return;
    if (task.extra == nullptr) task.extra = new (std::nothrow) task_extra;
    if (task.extra != nullptr && (replace || task.extra->message.view().empty())) task.extra->message = message;
}

inline bool cancel_future(shared_state& future, const shared_text& message) noexcept {
    future.fail(std::make_exception_ptr(cancelled_error(message)), outcome_state::cancelled);
    future.complete();
    return true;
}

/// A wait that passes a request to cancel on to several others, one after the other. The walk through them keeps its
/// place in this object, so that no depth recurses or allocates.
class fork {
public:
    fork(const fork&) = delete;
    fork& operator=(const fork&) = delete;

    /// Ends a wait that has become needless: stops what it owns, and leaves alone what it only watches.
    /// @return whether the coroutine that waits can be destroyed now; else it ends by itself, cancelled.
    virtual bool stop() noexcept { return false; }

    // cancel_walk calls these.

    /// Returns the next one to be asked, null behind the last one. @param first whether the walk begins.
    virtual shared_state* next_asked(bool first) noexcept = 0;
    /// Called when all were asked. @param any whether one of them took the request. @return the answer of the wait
    /// itself.
    virtual cancel_reply all_asked(const shared_text& message, bool any) noexcept = 0;

    struct {
        fork* outer = nullptr;      // the fork whose walk led here
        suspension* wait = nullptr; // this fork, as what its task waits in; null while no walk is in it
        frame* task = nullptr;
        bool any = false;
    } walk;

protected:
    fork() noexcept = default;
    ~fork() = default; // not virtual, which every awaiter that is a fork would pay for
};

/// One request to cancel, as Task.cancel() makes it: for one task and for all that the request reaches.
///
/// It follows chains of tasks that await each other and goes through the children of forks in order, depth first, all
/// in one loop. Where tasks wait for each other in a circle (found by Brent's algorithm in a chain, and by forks that
/// are being walked), it stops in front of the task that it has passed already, so that the circle breaks there.
class cancel_walk {
public:
    /// @param leftovers at the end of a run: each task passes requests on only once, however many reach it.
    explicit cancel_walk(const shared_text& message, bool leftovers = false) noexcept
        : message_(message), leftovers_(leftovers) {}

    /// @return false if `target` is done already or its loop is closed or closing, so that nothing happens.
    bool request(shared_state& target) noexcept {
        const bool asked = ask(target);
        while (innermost_ != nullptr) go_on();
        return asked;
    }
    /// Asks what `task` waits in. @return false if the request stays pending.
    bool interrupt(frame& task, suspension& hook) noexcept {
        put(task, hook);
        while (innermost_ != nullptr) go_on();
        return taken_;
    }

private:
    /// Asks one, and those that it awaits in a chain. If the chain ends in a fork, the walk enters it.
    bool ask(shared_state& first) noexcept {
        shared_state* each = &first;
        const shared_state* seen = nullptr;
        for (std::size_t steps = 0, next_mark = 1;; ++steps) {
            if (each->done() || each->loop == nullptr || each->loop->closing()) return false;
            if (each->has(flag_future)) return cancel_future(*each, message_);
            frame& task = static_cast<frame&>(*each);
            if (task.cancels != frame::most_cancels) ++task.cancels;
            if (leftovers_) {
                if (task.has_mark(mark_leftover)) return true;
                task.mark(mark_leftover);
            }
            suspension* const hook = hook_of(task);
            if (hook == nullptr) {
                pend(task);
                return true;
            }
            shared_state* const next = access::forwards(*hook) ? access::awaited(*hook) : nullptr;
            if (next == nullptr || next == seen || next == &first || next->done() || next->loop == nullptr ||
                (innermost_ != nullptr && walked(*next))) {
                put(task, *hook);
                return true;
            }
            if (steps == next_mark) {
                seen = each;
                next_mark *= 2;
            }
            each = next;
        }
    }

    /// Puts the request to what `task` waits in: at once, or to its children first.
    void put(frame& task, suspension& hook) noexcept {
        fork* const several = access::forks(hook);
        if (several == nullptr) return settle(task, hook, hook.cancel(message_));
        if (several->walk.wait != nullptr) return; // the fork waits for itself
        several->walk.outer = detail::exchange(innermost_, several);
        several->walk.wait = &hook;
        several->walk.task = &task;
        several->walk.any = false;
        begins_ = true;
    }

    /// Asks the next child of the innermost fork, or leaves it.
    void go_on() noexcept {
        fork& here = *innermost_;
        if (shared_state* const next = here.next_asked(detail::exchange(begins_, false))) {
            if (ask(*next) && innermost_ == &here) here.walk.any = true;
            return;
        }
        innermost_ = here.walk.outer;
        frame& task = *here.walk.task;
        suspension& hook = *detail::exchange(here.walk.wait, nullptr);
        const cancel_reply reply = here.all_asked(message_, here.walk.any);
        taken_ = false;
        if (reply == cancel_reply::refused && task.has(flag_branch))
            return; // like asyncio's future, which has ended already
        settle(task, hook, reply);
        if (innermost_ != nullptr) innermost_->walk.any = true;
    }

    void settle(frame& task, suspension& hook, cancel_reply reply) noexcept {
        taken_ = reply != cancel_reply::refused;
        if (reply == cancel_reply::left) {
            keep_message(task, message_, true);
            task.note_left();
            hook.wake();
        } else if (!taken_) {
            pend(task);
        }
    }

    /// Leaves the request pending until the next suspension point.
    void pend(frame& task) noexcept {
        keep_message(task, message_, !task.has(flag_left));
        task.pend_request();
        if (!task.has(flag_started) && !is_current(task)) {
            task.what = ready_item::kind::call;
            task.run = task.loop->hooks().end_unstarted;
        }
    }

    static bool walked(const shared_state& target) noexcept {
        if (target.has(flag_future)) return false;
        suspension* const hook = hook_of(static_cast<const frame&>(target));
        const fork* const several = hook != nullptr ? access::forks(*hook) : nullptr;
        return several != nullptr && several->walk.wait != nullptr;
    }

    const shared_text& message_;
    fork* innermost_ = nullptr;
    bool leftovers_;
    bool begins_ = false; // the innermost fork was entered and has asked none yet
    bool taken_ = false;  // whether the wait that was asked last has taken the request
};

/// Makes one request to cancel. @return false if `first` is done already.
[[gnu::noinline]] inline bool cancel_completion(shared_state& first, const shared_text& message) noexcept {
    return cancel_walk(message).request(first);
}

} // namespace detail

template<class Promise>
void suspension::give_way(std::coroutine_handle<Promise> coroutine, const std::source_location& where) {
    task_ = &detail::requeue(coroutine, where);
}

[[gnu::noinline, gnu::cold]] inline void suspension::deliver_pending() noexcept {
    detail::frame& root = *task_;
    const detail::shared_text message = root.extra != nullptr ? root.extra->message : detail::shared_text();
    detail::cancel_walk walk(message);
    if (forwards() ? walk.request(*awaited_state()) : walk.interrupt(root, *this)) root.drop_request();
}

inline void suspension::deliver_with_result() noexcept {
    task_->drop_request();
    if (task_->extra != nullptr) task_->extra->message = {};
}

} // namespace asynchio

#pragma GCC visibility pop
