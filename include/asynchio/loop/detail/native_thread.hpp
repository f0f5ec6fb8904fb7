// SPDX-License-Identifier: BSL-1.0
#pragma once

// The threads of the library. To start a std::thread takes g++ 3 MB to read, for every file (see tests/compile_cost).

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/loop/detail/fork_count.hpp>

#include <csignal>
#include <cstddef>
#include <cstdio>

#include <pthread.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// While it lives, the calling thread and the threads it starts (these for ever) take no signals: they are the business of
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

/// A thread that was started, until it is joined or detached: by whoever holds it, since this does neither at its end.
class native_thread {
public:
    using program = void* (*)(void*); // its result is not looked at

    native_thread() noexcept = default;
    /// Starts `run(what)` in a thread that takes no signals. @throws std::system_error when there is none to be had.
    native_thread(program run, void* what) {
        const signals_blocked inherited;
        const int error = pthread_create(&id_, nullptr, run, what);
        if (error != 0) system_refuses(error, "start a thread");
        started_ = true;
    }

    bool started() const noexcept { return started_; }
    /// Waits for its end. Does nothing for one that was not started, or that a parent process has.
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

/// "asynchio-3" as the name of the calling thread, where the system keeps one.
inline void name_this_thread(const char* group, std::size_t number) noexcept {
#if defined(__linux__)
    char name[64];
    std::snprintf(name, sizeof name, "%s-%zu", group, number);
    name[15] = '\0'; // which is what Linux takes
    pthread_setname_np(pthread_self(), name);
#else
    static_cast<void>(group);
    static_cast<void>(number);
#endif
}

/// How many threads can run at once; at least 1.
inline std::size_t processors() noexcept {
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? static_cast<std::size_t>(online) : 1;
}

} // namespace asynchio::detail

#pragma GCC visibility pop
