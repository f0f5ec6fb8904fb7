// SPDX-License-Identifier: BSL-1.0
#pragma once

// At most so many at a time.

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

/// Holds one permit while it lives, and gives it back unless all are back already. Movable; an empty one holds nothing.
class [[nodiscard("the permit goes back when the guard goes away: give it a name")]] semaphore_guard {
public:
    semaphore_guard() noexcept = default;
    /// Takes over a permit.
    explicit semaphore_guard(semaphore& acquired) noexcept : semaphore_(&acquired) {}
    semaphore_guard(semaphore_guard&& other) noexcept : semaphore_(detail::exchange(other.semaphore_, nullptr)) {}
    semaphore_guard& operator=(semaphore_guard other) noexcept {
        std::swap(semaphore_, other.semaphore_);
        return *this;
    }
    ~semaphore_guard() { release(); }

    explicit operator bool() const noexcept { return semaphore_ != nullptr; }
    /// Gives the permit back early.
    void release() noexcept;

private:
    semaphore* semaphore_ = nullptr;
};

/// A number of permits: who takes one when there is none waits until one comes back.
///
/// Behaviour: a permit that comes back belongs at once to the first who waits, who runs in the next iteration; a
/// newcomer cannot overtake. It may be given back more often than it was taken, which adds permits.
/// Threads: the loop's. Lifetime: must outlive those who wait and the guards.
/// Cost: with a permit there, a few instructions, no allocation, no switch.
/// Differs from Python: a guard, `auto permit = co_await s.scoped_acquire();`, beside `async with`, which is with.
/// Example: `co_await aio::with(s, body)`.
/// See also: bounded_semaphore, mutex.
class semaphore {
public:
    class acquire_awaiter;
    class scoped_acquire_awaiter;

    /// @param permits at least 0. @throws std::invalid_argument for a negative number.
    explicit semaphore(std::ptrdiff_t permits = 1) : semaphore(permits, std::numeric_limits<std::ptrdiff_t>::max()) {}

    /// Whether acquire() would wait.
    bool locked() const noexcept { return permits_ == 0 || line_.contended(); }

    /// Takes a permit if there is one and nobody waits. @return whether it did.
    [[nodiscard]] bool try_acquire() noexcept {
        if (locked()) return false;
        --permits_;
        return true;
    }

    /// Waits for its turn and takes a permit.
    /// Cancellation: leaves the line; a permit it was given already passes to the next.
    acquire_awaiter acquire() noexcept;
    /// The same, and gives a semaphore_guard.
    scoped_acquire_awaiter scoped_acquire() noexcept;

    /// Gives a permit back, or adds one: to the first who waits.
    /// @throws std::invalid_argument if a bounded_semaphore has all its permits.
    void release() {
        if (permits_ >= bound_) [[unlikely]]
            refuse_to_release();
        give_back();
    }

    acquire_awaiter async_enter() noexcept;
    void async_exit(const std::exception_ptr&) { release(); }

protected:
    semaphore(std::ptrdiff_t permits, std::ptrdiff_t bound) : permits_(permits), bound_(bound) {
        if (permits < 0) throw std::invalid_argument("semaphore: the number of permits must not be negative");
    }

private:
    friend semaphore_guard;

    [[noreturn, gnu::noinline]] static void refuse_to_release() {
        throw std::invalid_argument("release: the semaphore has all its permits: it was released too often");
    }
    void give_back() noexcept {
        ++permits_;
        hand_out();
    }
    void hand_out() noexcept {
        while (permits_ > 0 && line_.wake_one()) --permits_;
    }

    detail::wait_queue line_;
    std::ptrdiff_t permits_; // those that nobody holds or was given
    std::ptrdiff_t bound_;
};

/// A semaphore that notices when it is released more often than it was acquired.
///
/// See also: semaphore.
class bounded_semaphore : public semaphore {
public:
    /// @param permits at least 0, and the most there will ever be. @throws std::invalid_argument for a negative number.
    explicit bounded_semaphore(std::ptrdiff_t permits = 1) : semaphore(permits, permits) {}
};

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
        if (semaphore_->try_acquire()) return true;
        waiter_.give_on();
        return false;
    }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where, semaphore_->line_, "semaphore");
    }
    void await_resume() {
        if (!waiter_.entered()) return waiter_.give_on();
        waiter_->leave([this] {
            if (waiter_->woken()) ++semaphore_->permits_;
            semaphore_->hand_out();
        });
        semaphore_->hand_out(); // to those who came while this one was first, though there was a permit
    }

protected:
    semaphore* semaphore_;

private:
    friend detail::late_waiter<detail::wait_queue::waiter, acquire_awaiter>;
    static constexpr const char* unawaited = "acquire() or scoped_acquire() of a semaphore";

    detail::late_waiter<detail::wait_queue::waiter, acquire_awaiter> waiter_;
};

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
