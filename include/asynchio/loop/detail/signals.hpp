// SPDX-License-Identifier: BSL-1.0
#pragma once

// Unix signals as calls of a loop: the handler only marks the signal and wakes the loop that handles it.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/loop/detail/fork_count.hpp>
#include <asynchio/loop/detail/mailbox.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <pthread.h>
#include <stdexcept>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The process-wide table of the loops that handle signals. A signal has one loop; several deliveries before that loop
/// runs may count as one. In a child process a loop of its own takes a signal over from one that was inherited, which
/// gets it back afterwards.
class signal_table {
public:
    static constexpr int end = 65;   // one behind the last number
    static constexpr int nobody = 0; // no loop: standard input's number, which is never a mailbox's

    /// The arrivals of which the loop is told. If that is the first only, the default action comes back afterwards,
    /// which works although the loop is stuck.
    enum class mode : unsigned char { every, first, none };

    /// Takes `number` over for the loop behind `box`, or changes how it was taken over.
    /// @throws std::invalid_argument for a number that is not a signal's, std::logic_error when another loop has the
    /// signal, std::system_error when it cannot be caught (SIGKILL, SIGSTOP).
    [[gnu::cold]] static void install(int number, const mailbox& box, mode which) {
        if (number < 1 || number >= end)
            throw std::invalid_argument(formatted("add_signal_handler: %d is not a signal number", number));
        forget_handlers_after_fork();
        entry& each = table[number];
        if (each.descriptor == nobody) each.process = fork_count;
        owner<inherited> outer;
        int holder = nobody;
        const bool is_new = each.descriptor.compare_exchange_strong(holder, box.write_descriptor());
        const bool shares = !is_new && holder == box.write_descriptor();
        if (!is_new && !shares) outer = take_over(each, holder, number, box);
        const struct sigaction action = action_of(which);
        if (::sigaction(number, &action, shares ? nullptr : &each.before) != 0) {
            const int error = errno;
            if (outer)
                each.give_back(*outer);
            else if (is_new)
                each.descriptor = nobody;
            system_refuses(error, "add_signal_handler: signal %d", number);
        }
        if (outer) each.outer = outer.release();
    }

    /// Changes the arrivals of which the loop with the mailbox `descriptor` is told, which took `number` over. While a
    /// loop of a child process has the signal, that changes what the inherited loop gets back.
    [[gnu::cold]] static void change(int number, int descriptor, mode which) noexcept {
        const struct sigaction action = action_of(which);
        entry& each = table[number];
        if (each.descriptor == descriptor)
            ::sigaction(number, &action, nullptr);
        else if (const place its = each.find(descriptor); its.link != nullptr)
            *its.action = action;
    }

    /// Whether the process ignores `number`, as a process that was started by nohup or in the background does.
    [[gnu::cold]] static bool is_ignored(int number) noexcept {
        struct sigaction now{};
        return ::sigaction(number, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
    }

    /// Restores the action before the first install of the loop with the mailbox `descriptor`.
    [[gnu::cold]] static void remove(int number, int descriptor) noexcept {
        entry& each = table[number];
        if (each.descriptor != descriptor) return each.forget(descriptor);
        const owner<inherited> outer(each.outer);
        ::sigaction(number, &each.before, nullptr);
        each.outer = nullptr;
        each.descriptor = nobody;
        while (handlers_running.load() != 0) {} // a handler on another thread takes a few instructions
        each.pending = false;
        if (outer) each.give_back(*outer);
    }

    /// Whether `number`, which the loop behind `descriptor` took over, has arrived since the last call.
    [[gnu::cold]] static bool take(int number, int descriptor) noexcept {
        entry& each = table[number];
        return each.pending.load(std::memory_order_relaxed) && each.descriptor == descriptor &&
               each.pending.exchange(false);
    }

private:
    /// The state of a loop of a parent process, while a loop of this process has the signal.
    struct inherited {
        int descriptor;
        unsigned process;
        bool pending;
        struct sigaction before;
        inherited* outer;
    };

    /// The place where the state of an inherited loop is kept, with the action that is set when it gets the signal
    /// back.
    struct place {
        inherited** link;
        struct sigaction* action;
    };

    struct entry {
        std::atomic<int> descriptor;
        std::atomic<bool> pending;
        std::atomic<unsigned> process; // the fork_count when the signal was taken over
        struct sigaction before;
        inherited* outer;

        [[gnu::cold]] void give_back(const inherited& to) noexcept {
            before = to.before;
            outer = to.outer;
            process = to.process;
            pending = to.pending;
            descriptor = to.descriptor;
        }
        /// Finds a loop among the inherited ones; without a link if it is none of them.
        place find(int loop) noexcept {
            place at{&outer, &before};
            while (*at.link != nullptr && (*at.link)->descriptor != loop)
                at = {&(*at.link)->outer, &(*at.link)->before};
            return *at.link != nullptr ? at : place{};
        }
        /// Called if an inherited loop ends meanwhile: it gets nothing back.
        [[gnu::cold]] void forget(int loop) noexcept {
            const place its = find(loop);
            if (its.link == nullptr) return;
            const owner<inherited> gone(*its.link);
            *its.action = gone->before;
            *its.link = gone->outer;
        }
    };

    static struct sigaction action_of(mode which) noexcept {
        struct sigaction action{};
        action.sa_handler = which == mode::none ? SIG_DFL : &on_signal;
        action.sa_flags = which == mode::first ? SA_RESTART | int(SA_RESETHAND) : SA_RESTART;
        sigfillset(&action.sa_mask);
        return action;
    }

    /// @throws std::logic_error unless the signal belongs to a loop that was inherited from a parent process.
    [[gnu::cold]] static owner<inherited> take_over(entry& each, int holder, int number, const mailbox& box) {
        owner<inherited> outer = make_owner<inherited>();
        unsigned process = each.process;
        if (process == fork_count || !each.process.compare_exchange_strong(process, fork_count))
            throw std::logic_error(formatted("add_signal_handler: signal %d is handled by another loop", number));
        outer->descriptor = holder;
        outer->process = process;
        outer->before = each.before;
        outer->outer = each.outer;
        outer->pending = each.pending.exchange(false);
        each.descriptor = box.write_descriptor();
        return outer;
    }

    /// Called in a child, which has none of the threads on which a handler may be running now.
    static void forget_handlers_after_fork() noexcept {
        static const int registered = pthread_atfork(nullptr, nullptr, [] { handlers_running = 0; });
        static_cast<void>(registered);
    }

    [[gnu::cold]] static void on_signal(int number) {
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
