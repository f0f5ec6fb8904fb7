// SPDX-License-Identifier: BSL-1.0
#pragma once

// The part of a thread's stack that a loop may use before transfers go through its driver.

#include <asynchio/loop/detail/scheduler.hpp>

#include <cstddef>
#include <pthread.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Returns the end to which the stack of this thread grows; null if that is not known, or so far that it does not
/// matter: on the main thread, for whose stack the C library would read a file. Each thread asks once.
inline char* stack_end() noexcept {
#if defined(__linux__)
    struct measured {
        measured() noexcept {
            pthread_attr_t attributes;
            if (::syscall(SYS_gettid) == ::getpid() || pthread_getattr_np(pthread_self(), &attributes) != 0) return;
            void* lowest = nullptr;
            std::size_t size = 0;
            if (pthread_attr_getstack(&attributes, &lowest, &size) == 0) {
                end = static_cast<char*>(lowest);
                begin = end + size;
            }
            pthread_attr_destroy(&attributes);
        }
        char* end = nullptr;
        char* begin = nullptr;
    };
    static thread_local const measured own;
    const char* const here = stack_address();
    return here > own.end && here < own.begin ? own.end : nullptr; // null: the stack was switched
#else
    return nullptr;
#endif
}

/// Returns half of what is left, and at most stack_slack: the other half is for the functions that coroutines call.
inline std::ptrdiff_t stack_room() noexcept {
    const char* const end = stack_end();
    if (end == nullptr) return stack_slack;
    const std::ptrdiff_t half = (stack_address() - end) / 2;
    return half < stack_slack ? half : stack_slack;
}

} // namespace asynchio::detail

#pragma GCC visibility pop
