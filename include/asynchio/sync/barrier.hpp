// SPDX-License-Identifier: BSL-1.0
#pragma once

// A barrier: tasks that go on together when all have arrived.

#include <asynchio/core/errors.hpp>
#include <asynchio/task/detail/wait_queue.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <source_location>
#include <stdexcept>

#pragma GCC visibility push(default)

namespace asynchio {

/// A point at which a fixed number of tasks wait for each other.
///
/// Behaviour: the last of `parties` tasks to arrive does not wait. It goes on at once, and the others in the next
/// iteration, in order of arrival. Then the barrier can be used again; a task that arrives while some tasks of the last
/// cycle have not left yet belongs to the next cycle.
/// Cancellation: a cancelled wait takes its arrival back; the others go on waiting.
/// Threads: the thread of the loop.
/// Lifetime: the barrier must outlive the tasks that wait.
/// Cost: waiting allocates nothing; the last arrival is linear in the number of parties.
/// Differs from Python: `abort` and `reset` are plain calls; a cancelled wait leaves the order of the others as it was.
/// Example: `const std::size_t index = co_await b.wait();`, or `co_await aio::with(b, body)`, which passes the index to
/// the body and does nothing at its end.
/// See also: event, condition.
class barrier {
public:
    class wait_awaiter;

    /// Makes a barrier that nobody has reached.
    /// @param parties the number of tasks that go on together, at least 1.
    /// @throws std::invalid_argument for a smaller number.
    explicit barrier(std::ptrdiff_t parties) : parties_(static_cast<std::size_t>(parties)) {
        if (parties < 1) throw std::invalid_argument("barrier: the number of parties must be at least 1");
    }

    /// Returns the number of tasks that go on together.
    std::size_t parties() const noexcept { return parties_; }
    /// Returns how many tasks have arrived and wait for the others; 0 while those of the last cycle leave.
    std::size_t n_waiting() const noexcept { return state_ == state::filling ? inside_ : 0; }
    /// Whether the barrier was aborted, and not reset since.
    bool broken() const noexcept { return state_ == state::broken; }

    /// Arrives, and waits for the others.
    /// @return the number of tasks that arrived earlier in this cycle: 0, 1, ...
    /// @throws broken_barrier_error if the barrier is or gets aborted, or is reset while the task is in it.
    /// Cancellation: takes the arrival back; the others go on waiting.
    wait_awaiter wait() noexcept;

    /// Breaks the barrier: all tasks that wait, and all that arrive before reset(), get broken_barrier_error.
    void abort() noexcept {
        state_ = state::broken;
        line_.wake_all();
    }
    /// Empties the barrier: all tasks that have arrived and not left get broken_barrier_error. Then it is as new.
    void reset() noexcept {
        state_ = inside_ > 0 ? state::resetting : state::filling;
        line_.wake_all();
    }

    wait_awaiter async_enter() noexcept;
    void async_exit(const std::exception_ptr&) noexcept {}

private:
    enum class state : unsigned char {
        filling,
        draining,  // all have arrived, and are about to leave
        resetting, // the tasks inside are about to leave with an error
        broken,
    };

    void leave() noexcept {
        if (--inside_ != 0) return;
        if (state_ != state::broken) state_ = state::filling;
        line_.wake_all(); // tasks that came for the next cycle
    }

    detail::wait_queue line_;
    std::size_t parties_;
    std::size_t inside_ = 0; // tasks that have arrived in this cycle and not left
    state state_ = state::filling;
};

/// The awaiter of barrier::wait().
///
/// Threads: the thread of the loop. Lifetime: the barrier must outlive it.
class [[nodiscard("a task arrives only when this is awaited")]] barrier::wait_awaiter final
    : public detail::wait_queue::retrying_waiter {
public:
    explicit wait_awaiter(barrier& b) noexcept : retrying_waiter(b.line_, "barrier"), barrier_(&b) {}
    wait_awaiter(wait_awaiter&& other) noexcept : wait_awaiter(*other.barrier_) {}
    wait_awaiter& operator=(wait_awaiter&&) = delete;
    ~wait_awaiter() {
        if (arrived_ && (in_line() || !entered())) barrier_->leave();
    }

    bool await_ready() noexcept { return try_again(); }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        enter(awaiting, where);
    }
    std::size_t await_resume() {
        if (entered()) leave([this] { depart(); });
        const bool failed = barrier_->broken() || barrier_->state_ == state::resetting;
        depart();
        if (failed) throw broken_barrier_error();
        return index_;
    }

private:
    bool entered() const noexcept { return task() != nullptr; }
    /// Arrives if the task has not arrived and can. @return whether the task can go on, be it with an error.
    bool try_again() noexcept override {
        if (arrived_) return barrier_->state_ != state::filling;
        if (barrier_->state_ != state::filling) return barrier_->broken();
        arrived_ = true;
        index_ = barrier_->inside_++;
        if (barrier_->inside_ != barrier_->parties_) return false;
        barrier_->state_ = state::draining;
        barrier_->line_.wake_all();
        return true;
    }
    void depart() noexcept {
        if (arrived_) barrier_->leave();
        arrived_ = false;
    }

    barrier* barrier_;
    std::size_t index_ = 0;
    bool arrived_ = false; // whether the task has arrived and not departed
};

inline barrier::wait_awaiter barrier::wait() noexcept { return wait_awaiter(*this); }
inline barrier::wait_awaiter barrier::async_enter() noexcept { return wait(); }

} // namespace asynchio

#pragma GCC visibility pop
