// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting, under a mutex, until another task has changed something.

#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A mutex and a line of tasks that wait for a notification.
///
/// Behaviour: `wait()` releases the mutex, waits to be notified, and acquires it again before it returns or throws.
/// A task that is notified goes on when the notifying one has released the mutex; several one after the other, in the
/// order in which they came. A notification that nobody waits for is lost. Spurious wake-ups are possible, as a wait
/// that is cancelled notifies another: use `wait_for`.
/// Threads: the loop's. Lifetime: the mutex that is passed must outlive it, and it must outlive those who wait.
/// Cost: a frame from the pool for each wait.
/// Example: `co_await c.wait_for([&] { return !items.empty(); });`
/// See also: event, queue.
class condition {
public:
    /// With a mutex of its own.
    condition() noexcept : mutex_(&own_) {}
    /// Shares `m` with others.
    explicit condition(mutex& m) noexcept : mutex_(&m) {}
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;
    ~condition() = default;

    bool locked() const noexcept { return mutex_->locked(); }
    [[nodiscard]] bool try_acquire() noexcept { return mutex_->try_acquire(); }
    mutex::acquire_awaiter acquire() noexcept { return mutex_->acquire(); }
    mutex::scoped_acquire_awaiter scoped_acquire() noexcept { return mutex_->scoped_acquire(); }
    void release() { mutex_->release(); }

    /// Waits for a notification. @throws std::logic_error unless the mutex is locked.
    /// Cancellation: acquires the mutex first, however long that takes and whatever is requested meanwhile, and then
    /// throws; a notification that it may have had passes to the next.
    template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
    task<> wait();

    /// Waits until `predicate()` is true, and gives what it returned. Does not wait if it is true at once.
    /// @param predicate an lvalue is referenced, a temporary or taken one kept. @throws as wait(), and what it throws.
    /// Cancellation: as wait().
    template<class Predicate>
    auto wait_for(Predicate&& predicate) {
        detail::check_awaited_arguments<Predicate>();
        return wait_until_true<detail::kept_t<Predicate>>(detail::keep<Predicate>(predicate));
    }

    /// Wakes the first `n` who wait. @throws std::logic_error unless the mutex is locked.
    void notify(std::size_t n = 1) {
        require_locked("notify");
        wake(n);
    }
    void notify_all() {
        require_locked("notify_all");
        line_.wake_all();
    }

    mutex::acquire_awaiter async_enter() noexcept { return acquire(); }
    void async_exit(const std::exception_ptr&) { release(); }

private:
    class notification;

    template<class Predicate>
    task<std::decay_t<std::invoke_result_t<std::remove_reference_t<Predicate>&>>> wait_until_true(Predicate predicate) {
        for (;;) {
            auto value = detail::invoke(predicate);
            if (value) co_return value;
            co_await wait();
        }
    }

    void require_locked(const char* what) const {
        if (!locked()) detail::refuse(what, "the mutex of the condition is not locked");
    }
    void wake(std::size_t n) noexcept {
        while (n-- > 0 && line_.wake_one()) {}
    }

    detail::wait_queue line_;
    mutex own_;
    mutex* mutex_;
};

class condition::notification {
public:
    explicit notification(condition& c) noexcept : waiter_(c.line_, "condition") {}

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where);
    }
    void await_resume() { waiter_.leave(); }

private:
    detail::wait_queue::waiter waiter_;
};

template<class>
task<> condition::wait() {
    require_locked("wait");
    line_.require_own_loop("condition");
    release();
    std::exception_ptr cancelled;
    try {
        co_await notification(*this);
    } catch (const cancelled_error&) {
        cancelled = std::current_exception();
    }
    for (bool held = false; !held;) {
        try {
            co_await acquire();
            held = true;
        } catch (const cancelled_error&) {
            cancelled = std::current_exception();
        }
    }
    if (cancelled) {
        wake(1);
        std::rethrow_exception(cancelled);
    }
}

} // namespace asynchio

#pragma GCC visibility pop
