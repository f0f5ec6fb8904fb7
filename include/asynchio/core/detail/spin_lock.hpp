// SPDX-License-Identifier: BSL-1.0
#pragma once

// A lock for a few instructions, which needs no construction and no end: objects of the process that outlive all others
// are guarded by it, and a fork can hold it.

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The lock. A thread that finds it taken asks again until it is free.
class spin_lock {
public:
    void lock() noexcept {
        while (__atomic_test_and_set(&busy_, __ATOMIC_ACQUIRE)) {}
    }
    void unlock() noexcept { __atomic_clear(&busy_, __ATOMIC_RELEASE); }

    /// Holds the lock while it lives.
    class guard {
    public:
        explicit guard(spin_lock& taken) noexcept : taken_(taken) { taken_.lock(); }
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;
        ~guard() { taken_.unlock(); }

    private:
        spin_lock& taken_;
    };

private:
    bool busy_ = false;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
