// SPDX-License-Identifier: BSL-1.0
#pragma once

// The operation that this module is built on: try the call; if it would block, wait for readiness and try again.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/detail/loop_call.hpp>
#include <asynchio/loop/detail/watches.hpp>
#include <asynchio/task/detail/named_suspension.hpp>

#include <coroutine>
#include <exception>
#include <initializer_list>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

enum class direction : unsigned char { read, write };

class io_operation;

/// Is told of what may have changed: a layer above.
class readiness_listener {
public:
    /// @param what fd_watch's bits.
    virtual void ready(unsigned char what) noexcept = 0;

protected:
    ~readiness_listener() = default;
};

/// Whether something can be read or written without blocking, and the operations that wait until it can.
///
/// A direction is open until a call says that it would block; from then on no call is made before notify() opens it.
/// Threads: the thread of the loop that runs when an operation waits first.
class readiness {
public:
    readiness() noexcept = default;
    readiness(const readiness&) = delete;
    readiness& operator=(const readiness&) = delete;

    /// Whether a call has a chance.
    bool open(direction d) const noexcept { return lane_of(d).open; }
    /// Records that the call would block.
    void blocked(direction d) noexcept { lane_of(d).open = false; }
    /// Records that a call read less than it could have: what it read from is empty, as far as that can be told.
    void drained() noexcept { lane_of(direction::read).open = uneven_; }
    /// Records that something may have changed (fd_watch's bits). Waiting operations try again in their turn.
    void notify(unsigned char ready) noexcept;
    bool busy(direction d) const noexcept { return lane_of(d).waiting != nullptr; }

    /// Has a layer above told, too; null ends that.
    void report_to(readiness_listener* above) noexcept { above_ = above; }
    /// Sees to it that the layer above is told. @throws as arm().
    void request(direction d) { arm(d); }

protected:
    virtual inline ~readiness();
    /// Sees to it that notify() is called. @throws std::system_error if it cannot; not while an operation waits
    /// already.
    virtual void arm(direction d) = 0;

private:
    friend io_operation;

    struct lane {
        io_operation* waiting = nullptr; // until its task runs
        unsigned char streak = 0;        // operations in a row that did not have to wait
        bool open = true;
    };
    lane& lane_of(direction d) noexcept { return d == direction::read ? read_ : write_; }
    const lane& lane_of(direction d) const noexcept { return d == direction::read ? read_ : write_; }
    void open_again(direction d) noexcept;

    lane read_;
    lane write_;
    bool uneven_ = false; // fd_watch's
    readiness_listener* above_ = nullptr;
};

/// The base of the awaiters of this module, which say in attempt() what is to be done.
///
/// Behaviour: operations that are ready do not suspend, but for every 128th in a row, which gives way to other tasks
/// before it does anything. An operation that waits does nothing before its task's turn has come, and then the task
/// goes on at once: what was taken cannot be lost in between.
/// Cancellation: the operation stops waiting. What attempt() has done stays done, and what would end it was not done.
class io_operation : public named_suspension, private loop_call<io_operation> {
public:
    using named_suspension::waiting_for;
    cancel_reply cancel(const shared_text&) noexcept override {
        if (queued()) return cancel_reply::refused; // the task's turn comes anyway, and nothing is done in it
        leave();
        on_ = nullptr; // it may end before the task runs
        return cancel_reply::left;
    }

protected:
    /// @param name the name of the wait in reports.
    io_operation(readiness& on, direction d, const char* name) noexcept
        : named_suspension(name), on_(&on), direction_(d) {}
    ~io_operation() override { leave(); }

    /// Makes calls while the direction is open, until the operation is over or other tasks should have a turn.
    /// @return whether it is over, be it by an error.
    virtual bool attempt() noexcept = 0;

    /// The body of await_ready. @param may_give_way whether other tasks may have a turn although this operation is
    /// ready; otherwise the call is made whatever is known of the direction, since the operation will not wait.
    /// @throws std::logic_error if another task uses this direction already.
    bool begin(bool may_give_way) {
        if (on_->busy(direction_)) [[unlikely]]
            refuse();
        readiness::lane& lane = on_->lane_of(direction_);
        if (!may_give_way) [[unlikely]] {
            lane.open = true;
        } else if (lane.streak == most_in_a_row - 1 && lane.open) [[unlikely]] {
            gives_way_ = true;
            return false;
        }
        if (!attempt()) return false;
        if (lane.streak != most_in_a_row - 1) ++lane.streak;
        return true;
    }
    template<class Promise>
    void suspend(std::coroutine_handle<Promise> awaiting, const std::source_location& where) {
        if (!gives_way_) on_->arm(direction_);
        readiness::lane& lane = on_->lane_of(direction_);
        lane.waiting = this;
        lane.streak = 0;
        known_ = true;
        park(awaiting, where);
        if (lane.open && parked()) try_later(); // it stopped to give other tasks a turn
    }
    /// Comes first in await_resume. @throws cancelled_error, the error of the operation, and std::logic_error if what
    /// it waited for was destroyed.
    void finish() {
        leave();
        resumed();
        if (on_ == nullptr || failure_) [[unlikely]]
            tell_failure();
    }
    /// Ends the operation because the library itself has failed, for instance for want of memory.
    void failed() noexcept { failure_ = std::current_exception(); }

private:
    friend readiness;
    friend loop_call;
    static constexpr unsigned char most_in_a_row = 128;

    [[noreturn, gnu::noinline]] void refuse() const {
        throw std::logic_error(std::string(what_) + ": another task waits for the same already; one at a time");
    }
    [[noreturn, gnu::noinline]] void tell_failure() const {
        if (failure_) std::rethrow_exception(failure_);
        throw std::logic_error(std::string(what_) + ": destroyed while a task waited for it");
    }
    void leave() noexcept {
        if (detail::exchange(known_, false)) on_->lane_of(direction_).waiting = nullptr;
        take_back();
    }
    void orphaned() noexcept {
        on_ = nullptr;
        known_ = false;
        if (parked() && !queued()) wake();
    }
    /// @return whether the task can go on.
    bool try_now() noexcept {
        if (attempt()) return true;
        if (on_->open(direction_)) {
            try_later();
            return false;
        }
        try {
            on_->arm(direction_);
        } catch (...) { // the first time, for one that gave way
            failed();
            return true;
        }
        return false;
    }
    void try_later() noexcept {
        bind(*task()->loop);
        call_soon();
    }
    void called() noexcept {
        if (parked() && (on_ == nullptr || interrupted() || try_now())) run_now();
    }

    readiness* on_; // null once that was destroyed, or the task has left
    std::exception_ptr failure_;
    direction direction_;
    bool gives_way_ = false;
    bool known_ = false; // the lane refers to it
};

inline readiness::~readiness() {
    for (io_operation* each : {read_.waiting, write_.waiting})
        if (each != nullptr) each->orphaned();
}

inline void readiness::open_again(direction d) noexcept {
    lane& each = lane_of(d);
    each.open = true;
    if (each.waiting != nullptr) each.waiting->try_later();
}

inline void readiness::notify(unsigned char ready) noexcept {
    if (ready & fd_watch::uneven) uneven_ = true;
    if (ready & fd_watch::readable) open_again(direction::read);
    if (ready & fd_watch::writable) open_again(direction::write);
    if (above_ != nullptr) [[unlikely]]
        above_->ready(ready);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
