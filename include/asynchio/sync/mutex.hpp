// SPDX-License-Identifier: BSL-1.0
#pragma once

// Mutual exclusion between tasks of one loop.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/task/detail/wait_queue.hpp>

#include <coroutine>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

class mutex;

/// A guard that holds a mutex while it lives, and releases it unless it is released already. It can be moved; an empty
/// guard holds nothing.
///
/// Threads: the thread of the loop. Lifetime: the mutex must outlive it.
/// See also: mutex::scoped_acquire.
class [[nodiscard("the mutex is released when the guard goes away: give it a name")]] mutex_guard {
public:
    mutex_guard() noexcept = default;
    /// Takes over a mutex that was acquired.
    explicit mutex_guard(mutex& acquired) noexcept : mutex_(&acquired) {}
    mutex_guard(mutex_guard&& other) noexcept : mutex_(detail::exchange(other.mutex_, nullptr)) {}
    mutex_guard& operator=(mutex_guard other) noexcept {
        std::swap(mutex_, other.mutex_);
        return *this;
    }
    ~mutex_guard() { release(); }

    /// Whether the guard holds a mutex.
    explicit operator bool() const noexcept { return mutex_ != nullptr; }
    /// Releases the mutex before the guard is destroyed. Does nothing if the guard is empty.
    void release() noexcept;

private:
    mutex* mutex_ = nullptr;
};

/// A mutex that one task of a loop holds at a time.
///
/// Behaviour: tasks get the mutex in the order of arrival. release() wakes the first, which owns the mutex when it
/// runs, in the next iteration; no other task can take it in between, although locked() is false then. The mutex does
/// not belong to a task: any task may release it, and a task that acquires it twice waits for ever. Debug mode notes who
/// has acquired it, and reports tasks that wait for mutexes of each other.
/// Cancellation: a cancelled acquire() leaves the line; if the mutex had already been handed to it, the next waiter
/// gets it.
/// Threads: the thread of the loop. Between threads, use a std::mutex and do not hold it across a co_await.
/// Lifetime: the mutex must outlive the tasks that wait and the guards.
/// Cost: if it is free, a few instructions, no allocation and no switch; else one switch for each hand-over.
/// Differs from Python: it is called mutex, since a lock in C++ is an object that holds one. The verbs are asyncio's,
/// so that std::lock_guard, which would wait for nothing, does not compile.
/// Example: `auto guard = co_await m.scoped_acquire();`, or `co_await with(m, body)`.
/// See also: semaphore, condition.
class mutex {
public:
    class acquire_awaiter;
    class scoped_acquire_awaiter;

    mutex() noexcept = default;

    /// Whether the mutex is locked. It is not while it is on its way from one task to the next.
    bool locked() const noexcept { return locked_; }

    /// Acquires the mutex if it is free and no task waits for it. @param where the line that reports name. @return
    /// whether it did.
    [[nodiscard]] bool try_acquire(std::source_location where = std::source_location::current()) noexcept {
        if (!free() && !free_and_noted(where)) return false;
        locked_ = true;
        return true;
    }

    /// Waits for its turn and acquires the mutex.
    /// Cancellation: leaves the line; if the mutex had already been handed to the task, the next waiter gets it.
    acquire_awaiter acquire() noexcept;
    /// Waits for its turn and acquires the mutex. @return a mutex_guard, which releases it.
    /// Cancellation: as that of acquire().
    scoped_acquire_awaiter scoped_acquire() noexcept;

    /// Releases the mutex, and wakes the first task that waits. @throws std::logic_error if it is not locked.
    void release() {
        if (!locked_) [[unlikely]]
            refuse_to_release();
        give_back();
    }

    acquire_awaiter async_enter() noexcept;
    void async_exit(const std::exception_ptr&) { release(); }

private:
    friend mutex_guard;

    void give_back() noexcept {
        locked_ = false;
        line_.wake_front();
    }
    [[noreturn, gnu::noinline]] static void refuse_to_release() {
        throw std::logic_error("release: the mutex is not locked");
    }
    bool free() const noexcept { return !locked_ && !line_.contended(); }
    /// Whether it is free after all, which free() does not see while debug mode notes who acquires it; this notes it.
    bool free_and_noted(const std::source_location& where) noexcept {
        if (!line_.noted() || locked_ || line_.occupied()) return false;
        line_.note_acquired(where);
        return true;
    }

    detail::wait_queue line_{true};
    bool locked_ = false;
};

/// The awaiter of mutex::acquire().
///
/// Threads: the thread of the loop. Lifetime: the mutex must outlive it.
class [[nodiscard("the mutex is locked only when this is awaited")]] mutex::acquire_awaiter {
public:
    explicit acquire_awaiter(mutex& m) noexcept : mutex_(&m) {}
    acquire_awaiter(acquire_awaiter&& other) noexcept : mutex_(other.mutex_) {
        waiter_.give_on();
        other.waiter_.give_on();
    }
    acquire_awaiter& operator=(acquire_awaiter&&) = delete;
    ~acquire_awaiter() = default;

    bool await_ready() noexcept {
        if (mutex_->free()) return true;
        waiter_.give_on();
        return false;
    }
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        if (mutex_->line_.noted()) [[unlikely]] {
            if (mutex_->free_and_noted(where)) return false;
            mutex_->line_.note_wait(where, true);
        }
        waiter_.enter(awaiting, where, mutex_->line_, "mutex");
        return true;
    }
    void await_resume() {
        if (waiter_.entered()) {
            waiter_->leave([this] {
                if (!mutex_->locked_) mutex_->line_.wake_front();
            });
            if (mutex_->line_.noted()) [[unlikely]]
                waiter_->note_acquired();
        } else {
            waiter_.give_on();
        }
        mutex_->locked_ = true;
    }

protected:
    mutex* mutex_;

private:
    friend detail::late_waiter<detail::wait_queue::waiter, acquire_awaiter>;
    static constexpr const char* unawaited = "acquire() or scoped_acquire() of a mutex";

    detail::late_waiter<detail::wait_queue::waiter, acquire_awaiter> waiter_;
};

/// The awaiter of mutex::scoped_acquire().
///
/// Threads: the thread of the loop. Lifetime: the mutex must outlive it.
class [[nodiscard("the mutex is locked only when this is awaited")]] mutex::scoped_acquire_awaiter final
    : public acquire_awaiter {
public:
    using acquire_awaiter::acquire_awaiter;

    mutex_guard await_resume() {
        acquire_awaiter::await_resume();
        return mutex_guard(*mutex_);
    }
};

inline mutex::acquire_awaiter mutex::acquire() noexcept { return acquire_awaiter(*this); }
inline mutex::scoped_acquire_awaiter mutex::scoped_acquire() noexcept { return scoped_acquire_awaiter(*this); }
inline mutex::acquire_awaiter mutex::async_enter() noexcept { return acquire(); }

inline void mutex_guard::release() noexcept {
    mutex* held = detail::exchange(mutex_, nullptr);
    if (held != nullptr && held->locked_) held->give_back();
}

} // namespace asynchio

#pragma GCC visibility pop
