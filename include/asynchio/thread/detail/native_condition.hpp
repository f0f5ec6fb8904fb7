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
        pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
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
        constexpr nanoseconds_count second = 1'000'000'000;
        const nanoseconds_count end = deadline > 0 ? deadline : 0; // a negative one has passed
        timespec at{};
        at.tv_sec = static_cast<decltype(at.tv_sec)>(end / second);
        at.tv_nsec = static_cast<decltype(at.tv_nsec)>(end % second);
        while (!holds())
            if (pthread_cond_timedwait(&condition_, lock.mutex()->native_handle(), &at) == ETIMEDOUT) return holds();
        return true;
    }

private:
    pthread_cond_t condition_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
