// SPDX-License-Identifier: BSL-1.0
#pragma once

// A condition: waiting, under a mutex, until another task has changed something.

#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A mutex and a line of tasks that wait for a notification.
///
/// Behaviour: `wait()` releases the mutex, waits to be notified, and acquires the mutex again before it returns or
/// throws. A notified task goes on when the notifying one has released the mutex; several go on one after the other, in
/// the order in which they came. A notification is lost if no task waits for it. Spurious wake-ups are possible, as a
/// wait that is cancelled notifies another one: use `wait_for`.
/// Cancellation: each call that waits describes its own.
/// Threads: the thread of the loop.
/// Lifetime: a mutex that is passed must outlive the condition, which must outlive the tasks that wait.
/// Cost: a frame from the pool for each wait.
/// Differs from Python: `async with` is with(); a guard, `auto held = co_await c.scoped_acquire();`, stands beside it.
/// Example: `co_await c.wait_for([&] { return !items.empty(); });`
/// See also: event, queue.
class condition {
public:
    /// Makes a condition with a mutex of its own.
    condition() noexcept : mutex_(&own_) {}
    /// Makes a condition that shares a mutex with others.
    /// @param m the mutex, which must outlive the condition.
    explicit condition(mutex& m) noexcept : mutex_(&m) {}
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;
    ~condition() = default;

    /// Whether the mutex is locked.
    bool locked() const noexcept { return mutex_->locked(); }
    /// Acquires the mutex if it is free and no task waits for it. @return whether it did.
    [[nodiscard]] bool try_acquire() noexcept { return mutex_->try_acquire(); }
    /// Waits for its turn and acquires the mutex.
    /// Cancellation: leaves the line; if the mutex had already been handed to the task, the next waiter gets it.
    mutex::acquire_awaiter acquire() noexcept { return mutex_->acquire(); }
    /// Waits for its turn and acquires the mutex. @return a mutex_guard, which releases it.
    /// Cancellation: as that of acquire().
    mutex::scoped_acquire_awaiter scoped_acquire() noexcept { return mutex_->scoped_acquire(); }
    /// Releases the mutex, and wakes the first task that waits for it. @throws std::logic_error if it is not locked.
    void release() { mutex_->release(); }

    /// Releases the mutex, waits for a notification, and acquires the mutex again.
    /// @throws std::logic_error unless the mutex is locked.
    /// Cancellation: the task acquires the mutex first, however long that takes and whatever is requested meanwhile,
    /// and then throws; a notification that it may have had passes to the next task.
    template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
    task<> wait();

    /// Waits for notifications until `predicate()` is true. It does not wait if that is true at once.
    /// @param predicate a callable. An lvalue is referenced, and must outlive the wait; a temporary or taken one is
    /// kept.
    /// @return the result of the predicate. @throws std::logic_error as wait() does, and the exceptions of the
    /// predicate.
    /// Cancellation: as that of wait().
    template<class Predicate>
    auto wait_for(Predicate&& predicate) {
        detail::check_awaited_arguments<Predicate>();
        return wait_until_true<detail::kept_t<Predicate>>(detail::keep<Predicate>(predicate));
    }

    /// Wakes the first tasks that wait for a notification.
    /// @param n the maximum number of tasks. @throws std::logic_error unless the mutex is locked.
    void notify(std::size_t n = 1) {
        require_locked("notify");
        wake(n);
    }
    /// Wakes all tasks that wait for a notification. @throws std::logic_error unless the mutex is locked.
    void notify_all() {
        require_locked("notify_all");
        line_.wake_all();
    }

    mutex::acquire_awaiter async_enter() noexcept { return acquire(); }
    void async_exit(const std::exception_ptr&) { release(); }

private:
    template<class Predicate>
    task<std::decay_t<std::invoke_result_t<std::remove_reference_t<Predicate>&>>>
    wait_until_true(detail::parameter<Predicate> given) {
        std::remove_reference_t<Predicate>& predicate = given;
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

template<class>
task<> condition::wait() {
    require_locked("wait");
    line_.require_own_loop("condition");
    release();
    std::exception_ptr cancelled = co_await detail::cancellation_of(detail::line_awaiter(line_, "condition"));
    for (;;) {
        std::exception_ptr request = co_await detail::cancellation_of(acquire());
        if (!request) break;
        cancelled = std::move(request);
    }
    if (cancelled) {
        wake(1);
        std::rethrow_exception(cancelled);
    }
}

} // namespace asynchio

#pragma GCC visibility pop
