// SPDX-License-Identifier: BSL-1.0
#pragma once

// Mutual exclusion between tasks of one loop.

#include <asynchio/core/exchange.hpp>
#include <asynchio/task/wait_queue.hpp>

#include <coroutine>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <utility>

namespace asynchio {

class mutex;

/// Holds a mutex while it lives, and unlocks it unless it is unlocked already. Movable; an empty one holds nothing.
class [[nodiscard("the mutex is unlocked when the guard goes away: give it a name")]] mutex_guard {
public:
    mutex_guard() noexcept = default;
    /// Takes over a mutex that is locked.
    explicit mutex_guard(mutex& locked) noexcept : mutex_(&locked) {}
    mutex_guard(mutex_guard&& other) noexcept : mutex_(detail::exchange(other.mutex_, nullptr)) {}
    mutex_guard& operator=(mutex_guard other) noexcept {
        std::swap(mutex_, other.mutex_);
        return *this;
    }
    ~mutex_guard() { unlock(); }

    explicit operator bool() const noexcept { return mutex_ != nullptr; }
    /// Unlocks early.
    void unlock() noexcept;

private:
    mutex* mutex_ = nullptr;
};

/// One task at a time.
///
/// Behaviour: whoever waits gets the mutex in the order of arrival. unlock() wakes the first, who owns it when it runs,
/// in the next iteration; nobody can take it in between, although locked() is false then. It is not owned by a
/// task: any may unlock it, and locking it twice in one task waits for ever.
/// Threads: the loop's; between threads take a std::mutex and hold it across no co_await.
/// Lifetime: must outlive those who wait.
/// Cost: free, a few instructions, no allocation, no switch; else one switch per hand-over.
/// Example: `auto guard = co_await m.scoped_lock();`, or `co_await with(m, body)`.
/// Differs from Python: called mutex, with the standard library's verbs.
/// See also: semaphore, condition.
class mutex {
public:
    class lock_awaiter;
    class scoped_lock_awaiter;

    mutex() noexcept = default;

    bool locked() const noexcept { return locked_; }

    /// Locks it if it is free and nobody waits. @return whether it did.
    [[nodiscard]] bool try_lock() noexcept {
        if (!free()) return false;
        locked_ = true;
        return true;
    }

    /// Waits for its turn and locks.
    /// Cancellation: leaves the line; who was to have the mutex already passes it on.
    lock_awaiter lock() noexcept;
    /// The same, and gives a mutex_guard.
    scoped_lock_awaiter scoped_lock() noexcept;

    /// Unlocks, and wakes the first who waits. @throws std::logic_error if it is not locked.
    void unlock() {
        if (!locked_) [[unlikely]]
            refuse_to_unlock();
        give_back();
    }

    lock_awaiter async_enter() noexcept;
    void async_exit(const std::exception_ptr&) { unlock(); }

private:
    friend mutex_guard;

    void give_back() noexcept {
        locked_ = false;
        line_.wake_front();
    }
    [[noreturn, gnu::noinline]] static void refuse_to_unlock() {
        throw std::logic_error("unlock: the mutex is not locked");
    }
    bool free() const noexcept { return !locked_ && !line_.contended(); }

    detail::wait_queue line_;
    bool locked_ = false;
};

class [[nodiscard("the mutex is locked only when this is awaited")]] mutex::lock_awaiter {
public:
    explicit lock_awaiter(mutex& m) noexcept : mutex_(&m) {}
    lock_awaiter(lock_awaiter&& other) noexcept : lock_awaiter(*other.mutex_) {}
    lock_awaiter& operator=(lock_awaiter&&) = delete;
    ~lock_awaiter() = default;

    bool await_ready() const noexcept { return mutex_->free(); }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where, mutex_->line_, "mutex");
    }
    void await_resume() {
        if (waiter_.entered()) {
            waiter_->leave([this] {
                if (!mutex_->locked_) mutex_->line_.wake_front();
            });
        }
        mutex_->locked_ = true;
    }

protected:
    mutex* mutex_;

private:
    detail::late_waiter<detail::wait_queue::waiter> waiter_;
};

class [[nodiscard("the mutex is locked only when this is awaited")]] mutex::scoped_lock_awaiter final
    : public lock_awaiter {
public:
    using lock_awaiter::lock_awaiter;

    mutex_guard await_resume() {
        lock_awaiter::await_resume();
        return mutex_guard(*mutex_);
    }
};

inline mutex::lock_awaiter mutex::lock() noexcept { return lock_awaiter(*this); }
inline mutex::scoped_lock_awaiter mutex::scoped_lock() noexcept { return scoped_lock_awaiter(*this); }
inline mutex::lock_awaiter mutex::async_enter() noexcept { return lock(); }

inline void mutex_guard::unlock() noexcept {
    mutex* held = detail::exchange(mutex_, nullptr);
    if (held != nullptr && held->locked_) held->give_back();
}

} // namespace asynchio
