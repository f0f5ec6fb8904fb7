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

namespace asynchio::detail {

/// The process-wide table of who handles which signal. One loop per signal; several deliveries before that loop runs
/// may count as one.
class signal_table {
public:
    static constexpr int signals = 65;
    static constexpr int nobody = 0; // standard input's number, which is never a mailbox's

    /// Takes `number` over for the loop behind `box`; with `once` up to the first arrival, at which the default
    /// action comes back: it needs no help of a loop that is stuck.
    /// @throws std::invalid_argument for a number that is no signal, std::logic_error when another loop has it,
    /// std::system_error when it cannot be caught (SIGKILL, SIGSTOP).
    static void install(int number, const mailbox& box, bool once) {
        if (number < 1 || number >= signals)
            throw std::invalid_argument("add_signal_handler: " + std::to_string(number) + " is not a signal number");
        entry& each = table[number];
        int expected = nobody;
        if (!each.descriptor.compare_exchange_strong(expected, box.write_descriptor())) {
            if (expected == box.write_descriptor()) return;
            throw std::logic_error("add_signal_handler: signal " + std::to_string(number) +
                                   " is handled by another loop");
        }
        struct sigaction action {};
        action.sa_handler = &on_signal;
        action.sa_flags = once ? SA_RESTART | int(SA_RESETHAND) : SA_RESTART;
        sigfillset(&action.sa_mask);
        if (::sigaction(number, &action, &each.before) == 0) return;
        const int error = errno;
        each.descriptor = nobody;
        throw std::system_error(error, std::generic_category(),
                                "add_signal_handler: signal " + std::to_string(number));
    }

    /// Restores what was there before the first install.
    static void remove(int number) noexcept {
        entry& each = table[number];
        ::sigaction(number, &each.before, nullptr);
        each.descriptor = nobody;
        while (handlers_running.load() != 0) {} // on another thread, a few instructions
        each.pending = false;
    }

    /// Whether `number` arrived since the last question.
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

    static inline entry table[signals];
    static inline std::atomic<int> handlers_running = 0;
};

} // namespace asynchio::detail
