// SPDX-License-Identifier: BSL-1.0
#pragma once

// The condition variable of the library; tests/compile_cost/README.md has the reasons why it is not
// std::condition_variable.

#include <asynchio/loop/clock.hpp>

#include <cerrno>
#include <ctime>
#include <mutex>

#include <pthread.h>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A condition variable for std::mutex, whose time limits are by the steady clock.
class native_condition {
public:
    native_condition() noexcept {
        pthread_condattr_t steady;
        pthread_condattr_init(&steady);
#if !defined(__APPLE__) // where a limit is given as a duration instead
        pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
#endif
        pthread_cond_init(&condition_, &steady);
        pthread_condattr_destroy(&steady);
    }
    native_condition(const native_condition&) = delete;
    native_condition& operator=(const native_condition&) = delete;
    ~native_condition() { pthread_cond_destroy(&condition_); }

    void notify_one() noexcept { pthread_cond_signal(&condition_); }
    void notify_all() noexcept { pthread_cond_broadcast(&condition_); }

    void wait(std::unique_lock<std::mutex>& lock) noexcept {
        pthread_cond_wait(&condition_, lock.mutex()->native_handle());
    }
    /// Waits until `holds()`.
    template<class Holds>
    void wait(std::unique_lock<std::mutex>& lock, Holds holds) {
        while (!holds()) wait(lock);
    }
    /// Waits until `holds()`, at most up to `deadline`, a time of steady_now(). @return whether it holds.
    template<class Holds>
    bool wait_until(std::unique_lock<std::mutex>& lock, nanoseconds_count deadline, Holds holds) {
        while (!holds())
            if (is_over(lock, deadline)) return holds();
        return true;
    }

private:
    /// Waits for a call of notify, at most up to `deadline`. @return whether the time was up.
    bool is_over(std::unique_lock<std::mutex>& lock, nanoseconds_count deadline) noexcept {
#if defined(__APPLE__)
        const timespec most = parts_of(deadline - steady_now());
        return pthread_cond_timedwait_relative_np(&condition_, lock.mutex()->native_handle(), &most) == ETIMEDOUT;
#else
        const timespec end = parts_of(deadline);
        return pthread_cond_timedwait(&condition_, lock.mutex()->native_handle(), &end) == ETIMEDOUT;
#endif
    }
    /// A negative time has passed.
    static timespec parts_of(nanoseconds_count time) noexcept {
        constexpr nanoseconds_count second = 1'000'000'000;
        timespec parts{};
        if (time < 0) return parts;
        parts.tv_sec = static_cast<decltype(parts.tv_sec)>(time / second);
        parts.tv_nsec = static_cast<decltype(parts.tv_nsec)>(time % second);
        return parts;
    }

    pthread_cond_t condition_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
