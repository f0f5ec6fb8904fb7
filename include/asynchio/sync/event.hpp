// SPDX-License-Identifier: BSL-1.0
#pragma once

// A flag that tasks can wait for.

#include <asynchio/task/detail/wait_queue.hpp>

#include <coroutine>
#include <source_location>

#pragma GCC visibility push(default)

namespace asynchio {

/// A flag. Setting it lets all tasks go on that wait for it.
///
/// Behaviour: `set()` wakes all waiting tasks, in the order in which they came; they run in the next iteration, also if
/// the flag is cleared before. Waiting for a flag that is set does not suspend.
/// Threads: the thread of the loop.
/// Lifetime: the event must outlive the tasks that wait, until it is set; they do not use it after that.
/// Cost: waiting allocates nothing; `set()` is linear in the number of waiting tasks.
/// Differs from Python: `wait()` returns nothing.
/// Example: `co_await ready.wait();` in one task, `ready.set();` in another.
/// See also: condition, future.
class event {
public:
    class wait_awaiter;

    event() noexcept = default;

    /// Whether the flag is set.
    bool is_set() const noexcept { return set_; }

    /// Sets the flag and wakes all waiting tasks. Does nothing if the flag is set.
    void set() noexcept {
        if (set_) return;
        set_ = true;
        line_.wake_all();
    }
    /// Clears the flag. Tasks that set() has woken go on all the same.
    void clear() noexcept { set_ = false; }

    /// Waits until the flag is set.
    /// Cancellation: the task leaves the line; the others keep their order.
    wait_awaiter wait() noexcept;

private:
    detail::wait_queue line_;
    bool set_ = false;
};

/// The awaiter of event::wait().
///
/// Threads: the thread of the loop. Lifetime: the event must outlive it, until it is set.
class [[nodiscard("waiting begins only when this is awaited")]] event::wait_awaiter {
public:
    /// @param what the name of the wait in reports.
    explicit wait_awaiter(event& e, const char* what = "event") noexcept : event_(&e), what_(what) {}
    wait_awaiter(wait_awaiter&& other) noexcept : wait_awaiter(*other.event_, other.what_) {}
    wait_awaiter& operator=(wait_awaiter&&) = delete;
    ~wait_awaiter() = default;

    bool await_ready() const noexcept { return event_->set_; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where, event_->line_, what_);
    }
    void await_resume() {
        if (waiter_.entered()) waiter_.leave();
    }

private:
    event* event_;
    const char* what_;
    detail::late_waiter<detail::wait_queue::waiter> waiter_;
};

inline event::wait_awaiter event::wait() noexcept { return wait_awaiter(*this); }

} // namespace asynchio

#pragma GCC visibility pop
