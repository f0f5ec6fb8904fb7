// SPDX-License-Identifier: BSL-1.0
#pragma once

// A semaphore: a number of permits, which limits how many tasks do something at a time.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/task/detail/wait_queue.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <limits>
#include <source_location>
#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

class semaphore;

/// A guard that holds one permit while it lives, and returns it unless all permits are back already. It can be moved;
/// an empty guard holds nothing.
///
/// Threads: the thread of the loop. Lifetime: the semaphore must outlive it.
/// See also: semaphore::scoped_acquire.
class [[nodiscard("the permit goes back when the guard goes away: give it a name")]] semaphore_guard {
public:
    semaphore_guard() noexcept = default;
    /// Takes over a permit that was acquired.
    explicit semaphore_guard(semaphore& acquired) noexcept : semaphore_(&acquired) {}
    semaphore_guard(semaphore_guard&& other) noexcept : semaphore_(detail::exchange(other.semaphore_, nullptr)) {}
    semaphore_guard& operator=(semaphore_guard other) noexcept {
        std::swap(semaphore_, other.semaphore_);
        return *this;
    }
    ~semaphore_guard() { release(); }

    /// Whether the guard holds a permit.
    explicit operator bool() const noexcept { return semaphore_ != nullptr; }
    /// Returns the permit before the guard is destroyed. Does nothing if the guard is empty.
    void release() noexcept;

private:
    semaphore* semaphore_ = nullptr;
};

/// A number of permits. A task that acquires one while there is none waits until one is released.
///
/// Behaviour: a released permit belongs at once to the first task that waits, which runs in the next iteration; a
/// newcomer cannot overtake it. More permits may be released than were acquired, which adds permits. Debug mode takes one
/// that is made with one permit for a lock, as a mutex.
/// Cancellation: a cancelled acquire() leaves the line; a permit that it was given already passes to the next task.
/// Threads: the thread of the loop.
/// Lifetime: the semaphore must outlive the tasks that wait and the guards.
/// Cost: if there is a permit, a few instructions, no allocation and no switch.
/// Differs from Python: there is a guard, `auto permit = co_await s.scoped_acquire();`, beside with(), which is `async
/// with`.
/// Example: `co_await aio::with(s, body)`.
/// See also: bounded_semaphore, mutex.
class semaphore {
public:
    class acquire_awaiter;
    class scoped_acquire_awaiter;

    /// Makes a semaphore.
    /// @param permits the number of permits at the beginning, at least 0. @throws std::invalid_argument for a negative
    /// number.
    explicit semaphore(std::ptrdiff_t permits = 1) : semaphore(permits, std::numeric_limits<std::ptrdiff_t>::max()) {}

    /// Whether acquire() would wait.
    bool locked() const noexcept { return permits_ == 0 || line_.occupied(); }

    /// Takes a permit if there is one and no task waits. @param where the line that reports name. @return whether it did.
    [[nodiscard]] bool try_acquire(std::source_location where = std::source_location::current()) noexcept {
        return take() || take_noted(where);
    }

    /// Waits for its turn and takes a permit.
    /// Cancellation: leaves the line; a permit that the task was given already passes to the next.
    acquire_awaiter acquire() noexcept;
    /// Waits for its turn and takes a permit. @return a semaphore_guard, which returns the permit.
    /// Cancellation: as that of acquire().
    scoped_acquire_awaiter scoped_acquire() noexcept;

    /// Returns a permit, or adds one. The first task that waits gets it.
    /// @throws std::invalid_argument if a bounded_semaphore has all its permits.
    void release() {
        if (permits_ >= bound_) [[unlikely]]
            refuse_to_release();
        give_back();
    }

    acquire_awaiter async_enter() noexcept;
    void async_exit(const std::exception_ptr&) { release(); }

protected:
    semaphore(std::ptrdiff_t permits, std::ptrdiff_t bound) : line_(permits == 1), permits_(permits), bound_(bound) {
        if (permits < 0) throw std::invalid_argument("semaphore: the number of permits must not be negative");
    }

private:
    friend semaphore_guard;

    [[noreturn, gnu::noinline]] static void refuse_to_release() {
        throw std::invalid_argument("release: the semaphore has all its permits: it was released too often");
    }
    bool take() noexcept {
        if (permits_ == 0 || line_.contended()) return false;
        --permits_;
        return true;
    }
    /// Takes a permit that take() does not, since debug mode notes who does.
    bool take_noted(const std::source_location& where) noexcept {
        if (!line_.noted() || locked()) return false;
        if (permits_ > 1) line_.note_no_more(); // it is no lock
        if (line_.noted()) line_.note_acquired(where);
        --permits_;
        return true;
    }
    void give_back() noexcept {
        ++permits_;
        hand_out();
    }
    void hand_out() noexcept {
        while (permits_ > 0 && line_.wake_one()) {
            --permits_;
            if (line_.noted()) [[unlikely]]
                line_.note_released();
        }
    }

    detail::wait_queue line_;
    std::ptrdiff_t permits_; // permits that no task holds or was given
    std::ptrdiff_t bound_;
};

/// A semaphore whose release() throws when it would have more permits than at the beginning.
///
/// Cancellation: as that of semaphore.
/// Threads: the thread of the loop.
/// See also: semaphore.
class bounded_semaphore : public semaphore {
public:
    /// Makes a semaphore.
    /// @param permits the maximum number of permits, all of which are there at the beginning; at least 0.
    /// @throws std::invalid_argument for a negative number.
    explicit bounded_semaphore(std::ptrdiff_t permits = 1) : semaphore(permits, permits) {}
};

/// The awaiter of semaphore::acquire().
///
/// Threads: the thread of the loop. Lifetime: the semaphore must outlive it.
class [[nodiscard("a permit is taken only when this is awaited")]] semaphore::acquire_awaiter {
public:
    explicit acquire_awaiter(semaphore& s) noexcept : semaphore_(&s) {}
    acquire_awaiter(acquire_awaiter&& other) noexcept : semaphore_(other.semaphore_) {
        waiter_.give_on();
        other.waiter_.give_on();
    }
    acquire_awaiter& operator=(acquire_awaiter&&) = delete;
    ~acquire_awaiter() {
        if (waiter_.entered() && waiter_->in_line() && waiter_->woken()) [[unlikely]]
            semaphore_->give_back();
    }

    bool await_ready() noexcept {
        if (semaphore_->take()) return true;
        waiter_.give_on();
        return false;
    }
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        if (semaphore_->line_.noted()) [[unlikely]] {
            if (semaphore_->take_noted(where)) return false;
            if (semaphore_->line_.noted()) semaphore_->line_.note_wait(where, false);
        }
        waiter_.enter(awaiting, where, semaphore_->line_, "semaphore");
        return true;
    }
    void await_resume() {
        if (!waiter_.entered()) return waiter_.give_on();
        waiter_->leave([this] {
            if (waiter_->woken()) ++semaphore_->permits_;
            semaphore_->hand_out();
        });
        if (semaphore_->line_.noted()) [[unlikely]]
            waiter_->note_acquired();
        semaphore_->hand_out(); // to tasks that came while this one was first, although there was a permit
    }

protected:
    semaphore* semaphore_;

private:
    friend detail::late_waiter<detail::wait_queue::waiter, acquire_awaiter>;
    static constexpr const char* unawaited = "acquire() or scoped_acquire() of a semaphore";

    detail::late_waiter<detail::wait_queue::waiter, acquire_awaiter> waiter_;
};

/// The awaiter of semaphore::scoped_acquire().
///
/// Threads: the thread of the loop. Lifetime: the semaphore must outlive it.
class [[nodiscard("a permit is taken only when this is awaited")]] semaphore::scoped_acquire_awaiter final
    : public acquire_awaiter {
public:
    using acquire_awaiter::acquire_awaiter;

    semaphore_guard await_resume() {
        acquire_awaiter::await_resume();
        return semaphore_guard(*semaphore_);
    }
};

inline semaphore::acquire_awaiter semaphore::acquire() noexcept { return acquire_awaiter(*this); }
inline semaphore::scoped_acquire_awaiter semaphore::scoped_acquire() noexcept { return scoped_acquire_awaiter(*this); }
inline semaphore::acquire_awaiter semaphore::async_enter() noexcept { return acquire(); }

inline void semaphore_guard::release() noexcept {
    semaphore* held = detail::exchange(semaphore_, nullptr);
    if (held != nullptr && held->permits_ < held->bound_) held->give_back();
}

} // namespace asynchio

#pragma GCC visibility pop
