// SPDX-License-Identifier: BSL-1.0
#pragma once

// Making memory run out when a test wants it.

#include <asynchio/loop/detail/frame_pool.hpp>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#pragma GCC visibility push(default)

namespace asynchio::testing {

/// Makes the n-th allocation of a program fail, or all from the n-th on.
///
/// A header cannot replace the global operator new, so the test program does, in one of its source files:
///
///     using faults = asynchio::testing::allocation_faults;
///     void* operator new(std::size_t size) { return faults::allocate(size); }
///     void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return faults::allocate_or_null(size); }
///     void* operator new(std::size_t size, std::align_val_t alignment) { return faults::allocate(size, alignment); }
///     void operator delete(void* address) noexcept { faults::deallocate(address); }
///     void operator delete(void* address, std::size_t) noexcept { faults::deallocate(address); }
///     void operator delete(void* address, const std::nothrow_t&) noexcept { faults::deallocate(address); }
///     void operator delete(void* address, std::align_val_t) noexcept { faults::deallocate(address); }
///     void operator delete(void* address, std::size_t, std::align_val_t) noexcept { faults::deallocate(address); }
///
/// The array forms call these. With g++ each of them needs `[[gnu::noinline]]`: g++ warns of a free() that it sees
/// behind a new.
///
/// Behaviour: each call of these counts, on any thread, and between start() and stop() each coroutine frame and call
/// that the thread that called start() takes from the library's pool, whether the pool has a block or not. The memory
/// that the language's runtime allocates for an exception does not count, nor does that of C libraries.
/// Threads: any thread may allocate; start() and stop() belong to one.
/// See also: for_each_allocation_failure.
class allocation_faults {
public:
    // For the program's operator new and operator delete

    /// Returns memory of `size` bytes. @throws std::bad_alloc if there is none, or if this allocation is to fail.
    static void* allocate(std::size_t size) {
        void* const address = allocate_or_null(size);
        if (address == nullptr) throw std::bad_alloc();
        return address;
    }
    /// Returns memory of `size` bytes with an alignment. @throws std::bad_alloc as above.
    static void* allocate(std::size_t size, std::align_val_t alignment) {
        const auto boundary = static_cast<std::size_t>(alignment);
        const std::size_t whole = (size + boundary - 1) / boundary * boundary;
        void* const address = fails() ? nullptr : std::aligned_alloc(boundary, whole);
        if (address == nullptr) throw std::bad_alloc();
        return address;
    }
    /// Returns memory of `size` bytes, or null if there is none or this allocation is to fail.
    static void* allocate_or_null(std::size_t size) noexcept {
        return fails() ? nullptr : std::malloc(size == 0 ? 1 : size);
    }
    /// Releases memory that one of these functions has returned.
    static void deallocate(void* address) noexcept { std::free(address); }

    // For tests

    /// Makes an allocation fail from now on.
    /// @param nth which one, counted from 1; with 0 none fails, and they are only counted.
    /// @param all_later whether all allocations behind it fail, too.
    static void start(std::size_t nth, bool all_later = false) noexcept {
        made_ = 0;
        met_ = false;
        at_ = nth;
        all_later_ = all_later;
        active_ = true;
        asynchio::detail::frame_pool::ask_before_each(&ask);
    }
    /// Ends the faults: nothing fails from now on.
    static void stop() noexcept {
        asynchio::detail::frame_pool::ask_before_each(nullptr);
        active_ = false;
    }
    /// Whether an allocation has failed since start().
    static bool met() noexcept { return met_; }
    /// Returns how many allocations there were since start(), up to stop().
    static std::size_t made() noexcept { return made_; }

    /// A pause for a test's own code: while it lives, nothing fails and nothing is counted. It may be used between
    /// start() and stop().
    ///
    /// Threads: the thread that called start().
    class pause {
    public:
        pause() noexcept { set(false); }
        pause(const pause&) = delete;
        pause& operator=(const pause&) = delete;
        ~pause() { set(true); }

    private:
        static void set(bool active) noexcept {
            active_ = active;
            asynchio::detail::frame_pool::ask_before_each(active ? &ask : nullptr);
        }
    };

    /// Whether the program's operator new is made as shown above.
    static bool installed() {
        const std::size_t before = made_;
        const bool was_active = active_.exchange(true);
        const std::size_t at = at_.exchange(0);
        const bool all = all_later_.exchange(false);
        ::operator delete(::operator new(1));
        at_ = at;
        all_later_ = all;
        active_ = was_active;
        return made_.exchange(before) != before;
    }

private:
    static bool fails() noexcept {
        if (!active_.load(std::memory_order_relaxed)) return false;
        const std::size_t number = ++made_;
        const std::size_t at = at_.load(std::memory_order_relaxed);
        if (at == 0 || number < at || (number > at && !all_later_.load(std::memory_order_relaxed))) return false;
        met_ = true;
        return true;
    }
    static void ask() {
        if (fails()) throw std::bad_alloc();
    }

    static inline constinit std::atomic<bool> active_ = false;
    static inline constinit std::atomic<bool> all_later_ = false;
    static inline constinit std::atomic<bool> met_ = false;
    static inline constinit std::atomic<std::size_t> at_ = 0;
    static inline constinit std::atomic<std::size_t> made_ = 0;
};

} // namespace asynchio::testing

#pragma GCC visibility pop
