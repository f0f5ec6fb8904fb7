// SPDX-License-Identifier: BSL-1.0
#pragma once

// The signal by which the tools interrupt the thread of a loop, and those that answer it there.

#include <asynchio/core/detail/failures.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// An object that is called by the signal. The signal carries its ticket, so that one that comes too late finds nobody.
///
/// The signal is SIGURG, whose default is that nothing happens; if the program handles that one, the highest real-time
/// signal that nobody handles.
class probe {
public:
    probe(const probe&) = delete;
    probe& operator=(const probe&) = delete;

    /// Returns the signal, for which the first call installs the handler. @throws std::runtime_error when the program
    /// handles all of them.
    [[gnu::cold]] static int signal_number() {
        static const int number = choose();
        return number;
    }
    /// Whether the program has left the handler alone.
    [[gnu::cold]] static bool is_installed() noexcept {
        struct sigaction now{};
        return ::sigaction(signal_number(), nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
               now.sa_sigaction == &on_signal;
    }
    /// Lets the signal come on this thread.
    [[gnu::cold]] static void unblock() {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, signal_number());
        pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
    }

    /// Returns the value that the signal has to carry.
    sigval ticket() const noexcept {
        sigval value{};
        value.sival_ptr = reinterpret_cast<void*>(ticket_);
        return value;
    }
    /// Sends the signal to a thread of this process. @return false if that is gone.
    [[gnu::cold]] bool send_to(int thread) const {
        siginfo_t info{};
        info.si_signo = signal_number();
        info.si_code = SI_QUEUE;
        info.si_pid = ::getpid();
        info.si_uid = ::getuid();
        info.si_value = ticket();
        return ::syscall(SYS_rt_tgsigqueueinfo, info.si_pid, thread, info.si_signo, &info) == 0;
    }

protected:
    /// @throws std::runtime_error if there are a thousand others, or no signal is left.
    [[gnu::cold]] probe() {
        signal_number();
        for (std::size_t index = 0; index < slots; ++index) {
            probe* nobody = nullptr;
            if (!table[index].whose.compare_exchange_strong(nobody, this)) continue;
            ticket_ = (generations.fetch_add(1) + 1) * slots + index;
            table[index].ticket = ticket_;
            return;
        }
        throw std::runtime_error("watchdog or profiler: there are more than 1024 in the process");
    }
    /// Called by the destructor of the derived class, while that can still answer: from now on nobody calls answer(). A
    /// second call does nothing.
    [[gnu::cold]] void withdraw() noexcept {
        slot& own = table[ticket_ % slots];
        if (own.whose != this) return;
        own.ticket = 0;
        own.whose = nullptr;
        while (handlers_running.load() != 0) {} // a handler on another thread takes some microseconds
    }
    ~probe() { withdraw(); } // if the constructor of the derived class has thrown

    /// Called by the signal, on the thread that got it. It may do what a signal handler may.
    virtual void answer(const siginfo_t& info) noexcept = 0;

private:
    static constexpr std::size_t slots = 1024;
    struct slot {
        std::atomic<probe*> whose;
        std::atomic<std::uintptr_t> ticket;
    };

    [[gnu::cold]] static int choose() {
        pthread_atfork(nullptr, nullptr, [] { handlers_running = 0; }); // a child has none of the other threads
        if (is_free(SIGURG)) return install(SIGURG);
        for (int number = SIGRTMAX; number >= SIGRTMIN; --number)
            if (is_free(number)) return install(number);
        throw std::runtime_error("watchdog or profiler: the program handles SIGURG and all real-time signals; "
                                 "leave one of them free");
    }
    static bool is_free(int number) noexcept {
        struct sigaction now{};
        return ::sigaction(number, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
               (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN);
    }
    static int install(int number) {
        struct sigaction action{};
        action.sa_sigaction = &on_signal;
        action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
        sigfillset(&action.sa_mask);
        if (::sigaction(number, &action, nullptr) != 0)
            asynchio::detail::system_refuses(errno, "watchdog or profiler: signal %d", number);
        return number;
    }

    [[gnu::cold]] static void on_signal(int, siginfo_t* info, void*) {
        const int error = errno;
        ++handlers_running;
        if (info->si_code == SI_QUEUE || info->si_code == SI_TIMER) {
            const auto number = reinterpret_cast<std::uintptr_t>(info->si_value.sival_ptr);
            const slot& its = table[number % slots];
            if (number != 0 && its.ticket == number)
                if (probe* const whose = its.whose) whose->answer(*info);
        }
        --handlers_running;
        errno = error;
    }

    std::uintptr_t ticket_ = 0;

    static inline slot table[slots];
    static inline std::atomic<std::uintptr_t> generations = 0;
    static inline std::atomic<int> handlers_running = 0;
};

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
