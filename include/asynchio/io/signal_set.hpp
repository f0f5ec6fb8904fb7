// SPDX-License-Identifier: BSL-1.0
#pragma once

// Unix signals that a task awaits.

#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/owner_vector.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/detail/wait_queue.hpp>

#include <concepts>
#include <coroutine>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A set of signals that tasks wait for. While the set lives, these signals do not have their usual effect.
///
/// Behaviour: signals that come while no task waits are kept, one of each kind. A waiting task gets one at a time, in
/// the order in which the loop saw them. Several sets, and a handler of the loop, may have the same signal: each gets
/// it. Only the handlers of last resort (that of handle_sigint, and a handler for one arrival) do not get it meanwhile.
/// The destructor restores what the signals did before.
/// Threads: the thread of the loop. Any loop of a process may have signals, but only one loop may have a given signal.
/// Lifetime: the set belongs to the loop that runs when it is made. It must outlive the tasks that wait for it, and the
/// loop must outlive it.
/// Example: `aio::signal_set stop(SIGINT, SIGTERM); int which = co_await stop.wait();`
/// See also: event_loop::add_signal_handler, run_options::handle_sigint.
class signal_set {
public:
    class wait_awaiter;

    /// Takes over the signals with these numbers.
    /// @param numbers at least one, such as SIGINT and SIGTERM.
    /// @throws std::invalid_argument for a number that is not a signal's, std::system_error for a signal that cannot be
    /// caught, std::logic_error without a running loop or when another loop handles the signal already.
    template<std::same_as<int>... Numbers>
        requires(sizeof...(Numbers) > 0)
    explicit signal_set(Numbers... numbers) : loop_(detail::running_core()) {
        try {
            (add(numbers), ...);
        } catch (...) {
            leave();
            throw;
        }
    }
    signal_set(const signal_set&) = delete;
    signal_set& operator=(const signal_set&) = delete;
    ~signal_set() { leave(); }

    /// Waits for one of the signals.
    /// @return its number.
    /// Cancellation: the task leaves the line; a signal that had come for it stays for the next task.
    wait_awaiter wait() noexcept;

private:
    void add(int number) {
        arrived_.reserve(listeners_.size() + 1);
        const auto arrives = [this, number] {
            for (const int each : arrived_)
                if (each == number) return;
            arrived_.push_back(number); // there is room
            line_.wake_one();
        };
        auto made = detail::make_owner<detail::signal_listener>(
            number, detail::repeated_call_ptr(detail::repeated_call::make(loop_, arrives)));
        listeners_.push_back(std::move(made));
        try {
            loop_.outside().caught.listen(*listeners_.back(), *loop_.outside().mailbox);
        } catch (...) {
            listeners_.pop_back();
            throw;
        }
    }
    void leave() noexcept {
        for (detail::signal_listener* each : listeners_) loop_.outside().caught.leave(*each);
    }

    detail::loop_core& loop_;
    detail::owner_vector<detail::signal_listener> listeners_;
    detail::trivial_vector<int> arrived_; // in order; no task was given them yet
    detail::wait_queue line_;
};

/// The awaiter of signal_set::wait().
///
/// Threads: the thread of the loop. Lifetime: the set must outlive it.
class [[nodiscard("waiting begins only when this is awaited")]] signal_set::wait_awaiter {
public:
    explicit wait_awaiter(signal_set& set) noexcept : set_(&set) {}
    wait_awaiter(wait_awaiter&& other) noexcept : wait_awaiter(*other.set_) {} // before it is awaited
    wait_awaiter& operator=(wait_awaiter&&) = delete;
    ~wait_awaiter() = default;

    bool await_ready() const noexcept { return !set_->arrived_.empty() && !set_->line_.contended(); }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where, set_->line_, "signal");
    }
    int await_resume() {
        if (waiter_.entered())
            waiter_->leave([this] {
                if (waiter_->woken()) set_->line_.wake_one();
            });
        const int number = set_->arrived_.front();
        set_->arrived_.pop_front();
        // Serves a task that came when there was a signal for each of the others.
        if (!set_->arrived_.empty()) set_->line_.wake_front();
        return number;
    }

private:
    signal_set* set_;
    detail::late_waiter<detail::wait_queue::waiter> waiter_;
};

inline signal_set::wait_awaiter signal_set::wait() noexcept { return wait_awaiter(*this); }

} // namespace asynchio

#pragma GCC visibility pop
