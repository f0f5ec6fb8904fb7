// SPDX-License-Identifier: BSL-1.0
#pragma once

// Threads of the library take no signals.

#include <csignal>

#include <pthread.h>

namespace asynchio::detail {

/// While it lives, the calling thread and the threads it starts (these for ever) take none: signals are the business of
/// the thread whose loop handles them.
class signals_blocked {
public:
    signals_blocked() noexcept {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;
    ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

/// The name of the calling thread, where the system keeps one.
inline void name_this_thread(const char* name) noexcept {
#if defined(__linux__)
    pthread_setname_np(pthread_self(), name);
#else
    static_cast<void>(name);
#endif
}

} // namespace asynchio::detail
