// SPDX-License-Identifier: BSL-1.0
#pragma once

// Unix signals as calls of a loop: the handler only marks the signal and wakes the loop that asked for it.

#include <asynchio/loop/mailbox.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string>
#include <system_error>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The process-wide table of who handles which signal. One loop per signal; several deliveries before that loop runs
/// may count as one.
class signal_table {
public:
    static constexpr int end = 65;   // behind the last number
    static constexpr int nobody = 0; // standard input's number, which is never a mailbox's

    /// Which arrivals the loop is told of: after the first only, the default action comes back, which needs no help of a
    /// loop that is stuck.
    enum class mode : unsigned char { every, first, none };

    /// Takes `number` over for the loop behind `box`, or changes how it was taken over.
    /// @throws std::invalid_argument for a number that is no signal, std::logic_error when another loop has it,
    /// std::system_error when it cannot be caught (SIGKILL, SIGSTOP).
    static void install(int number, const mailbox& box, mode which) {
        if (number < 1 || number >= end)
            throw std::invalid_argument("add_signal_handler: " + std::to_string(number) + " is not a signal number");
        entry& each = table[number];
        int owner = nobody;
        const bool is_new = each.descriptor.compare_exchange_strong(owner, box.write_descriptor());
        if (!is_new && owner != box.write_descriptor())
            throw std::logic_error("add_signal_handler: signal " + std::to_string(number) +
                                   " is handled by another loop");
        const int error = change(number, which, is_new ? &each.before : nullptr);
        if (error == 0) return;
        if (is_new) each.descriptor = nobody;
        throw std::system_error(error, std::generic_category(),
                                "add_signal_handler: signal " + std::to_string(number));
    }

    /// Changes which arrivals of a number that was taken over are told. @return errno or 0.
    static int change(int number, mode which, struct sigaction* before = nullptr) noexcept {
        struct sigaction action {};
        action.sa_handler = which == mode::none ? SIG_DFL : &on_signal;
        action.sa_flags = which == mode::first ? SA_RESTART | int(SA_RESETHAND) : SA_RESTART;
        sigfillset(&action.sa_mask);
        return ::sigaction(number, &action, before) == 0 ? 0 : errno;
    }

    /// Whether the process ignores `number`, as one that was started by nohup or in the background does.
    static bool is_ignored(int number) noexcept {
        struct sigaction now {};
        return ::sigaction(number, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
    }

    /// Restores what was there before the first install.
    static void remove(int number) noexcept {
        entry& each = table[number];
        ::sigaction(number, &each.before, nullptr);
        each.descriptor = nobody;
        while (handlers_running.load() != 0) {} // on another thread, a few instructions
        each.pending = false;
    }

    /// Whether `number`, which was taken over, arrived since the last question.
    static bool take(int number) noexcept {
        std::atomic<bool>& pending = table[number].pending;
        return pending.load(std::memory_order_relaxed) && pending.exchange(false);
    }

private:
    struct entry {
        std::atomic<int> descriptor;
        std::atomic<bool> pending;
        struct sigaction before;
    };

    static void on_signal(int number) {
        const int error = errno;
        ++handlers_running;
        const int descriptor = table[number].descriptor;
        if (descriptor != nobody) {
            table[number].pending = true;
            const std::uint64_t one = 1;
            while (::write(descriptor, &one, sizeof one) < 0 && errno == EINTR) {}
        }
        --handlers_running;
        errno = error;
    }

    static inline entry table[end];
    static inline std::atomic<int> handlers_running = 0;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
