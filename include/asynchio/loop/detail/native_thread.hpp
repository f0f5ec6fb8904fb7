// SPDX-License-Identifier: BSL-1.0
#pragma once

// The threads of the library; tests/compile_cost/README.md has the reasons why they are not std::thread.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/loop/detail/fork_count.hpp>

#include <csignal>
#include <cstddef>
#include <cstdio>

#include <pthread.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A guard that keeps signals from the calling thread while it lives, and from the threads that it starts meanwhile for
/// ever: signals go to the thread whose loop handles them.
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

/// A thread that was started, until it is joined or detached. Its owner does that, since the destructor does neither.
class native_thread {
public:
    using program = void* (*)(void*); // its result is ignored

    native_thread() noexcept = default;
    /// Starts `run(what)` in a thread that takes no signals. @throws std::system_error if the system has no thread
    /// left.
    native_thread(program run, void* what) {
        const signals_blocked inherited;
        const int error = pthread_create(&id_, nullptr, run, what);
        if (error != 0) system_refuses(error, "start a thread");
        started_ = true;
    }

    bool started() const noexcept { return started_; }
    /// Blocks until the thread has ended. Does nothing if it was not started, or belongs to a parent process.
    void join() noexcept {
        if (started_ && process_.is_here()) pthread_join(id_, nullptr);
        started_ = false;
    }
    void detach() noexcept {
        if (started_ && process_.is_here()) pthread_detach(id_);
        started_ = false;
    }

private:
    pthread_t id_{};
    process_mark process_;
    bool started_ = false;
};

/// Gives the calling thread a name such as "asynchio-3", if the system keeps one.
inline void name_this_thread(const char* group, std::size_t number) noexcept {
#if defined(__linux__)
    char name[64];
    std::snprintf(name, sizeof name, "%s-%zu", group, number);
    name[15] = '\0'; // the maximum that Linux accepts
    pthread_setname_np(pthread_self(), name);
#else
    static_cast<void>(group);
    static_cast<void>(number);
#endif
}

/// Returns how many threads can run at once, at least 1.
inline std::size_t processors() noexcept {
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? static_cast<std::size_t>(online) : 1;
}

} // namespace asynchio::detail

#pragma GCC visibility pop
