// SPDX-License-Identifier: BSL-1.0
#pragma once

// Unix signals to be awaited.

#include <asynchio/core/trivial_vector.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/wait_queue.hpp>

#include <concepts>
#include <coroutine>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

namespace asynchio {

/// Signals that are taken from their usual action while this lives, and are waited for instead.
///
/// Behaviour: those that come while nobody waits are kept, one of each kind; who waits gets one at a time, in the order
/// in which the loop saw them. When this ends, what was there before is restored.
/// Threads: the loop's. Any loop of a process may have signals, but only one loop a signal.
/// Lifetime: must outlive those who wait. It belongs to the loop that runs when it is made, and ends before that.
/// Example: `aio::signal_set stop(SIGINT, SIGTERM); int which = co_await stop.wait();`
/// See also: event_loop::add_signal_handler, run_options::handle_sigint.
class signal_set {
public:
    class wait_awaiter;

    /// @throws std::invalid_argument for a number that is no signal, std::system_error for one that cannot be caught,
    /// std::logic_error without a running loop or when another loop, or this one, handles it already.
    template<std::same_as<int>... Signals>
    requires(sizeof...(Signals) > 0) explicit signal_set(Signals... signals) : loop_(get_running_loop()) {
        try {
            (add(signals), ...);
        } catch (...) {
            remove_all();
            throw;
        }
    }
    signal_set(const signal_set&) = delete;
    signal_set& operator=(const signal_set&) = delete;
    ~signal_set() { remove_all(); }

    /// Waits for one of them, and gives its number.
    /// Cancellation: leaves; a signal that had come for this task stays for the next.
    wait_awaiter wait() noexcept;

private:
    void add(int number) {
        if (loop_.outside().signals.has(number))
            throw std::logic_error("signal_set: signal " + std::to_string(number) + " is handled by this loop already");
        numbers_.reserve(numbers_.size() + 1);
        arrived_.reserve(numbers_.size() + 1);
        loop_.add_signal_handler(number, [this, number] {
            for (const int each : arrived_)
                if (each == number) return;
            arrived_.push_back(number); // there is room
            line_.wake_one();
        });
        numbers_.push_back(number);
    }
    void remove_all() noexcept {
        for (const int each : numbers_) loop_.remove_signal_handler(each);
    }

    event_loop& loop_;
    detail::trivial_vector<int> numbers_;
    detail::trivial_vector<int> arrived_; // in order, that nobody has been given
    detail::wait_queue line_;
};

class [[nodiscard("waiting begins only when this is awaited")]] signal_set::wait_awaiter {
public:
    explicit wait_awaiter(signal_set & set) noexcept : set_(&set) {}
    wait_awaiter(wait_awaiter && other) noexcept : wait_awaiter(*other.set_) {} // before it is awaited
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
        if (!set_->arrived_.empty()) set_->line_.wake_front(); // who came when there was one for each of the others
        return number;
    }

private:
    signal_set* set_;
    detail::late_waiter<detail::wait_queue::waiter> waiter_;
};

inline signal_set::wait_awaiter signal_set::wait() noexcept { return wait_awaiter(*this); }

} // namespace asynchio
