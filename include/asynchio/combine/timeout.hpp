// SPDX-License-Identifier: BSL-1.0
#pragma once

// A deadline for a block.

#include <asynchio/combine/with.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/loop/detail/deadline.hpp>
#include <asynchio/task/current_task.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A deadline for a block, as a resource for with(). When the time is up, whatever the block waits for is cancelled,
/// and the cancellation that leaves the block becomes a timeout_error. Inside, the block sees cancelled_error.
///
/// Behaviour: only the block whose deadline passed converts, and only if no other code asked to cancel the task; a
/// block that never waits is not interrupted; one that swallows the cancellation ends as it likes. Blocks nest.
/// Cancellation: a request of other code leaves the block as cancelled_error, also if the deadline has passed.
/// Threads: the thread of the loop.
/// Lifetime: it must not be moved while it is entered. `expired()` and `when()` may be called afterwards.
/// Cost: one timer.
/// Differs from Python: the block is the body that is passed to with().
/// Example: `auto limit = aio::timeout(5s); co_await aio::with(limit, body); if (limit.expired()) ...`
/// See also: wait_for, move_on_after.
class [[nodiscard("a timeout is a resource for with")]] timeout {
public:
    /// Makes a deadline that counts from now.
    /// @param d the duration; 0 or less stands for the first suspension of the block.
    /// @throws std::logic_error without a running loop.
    template<class Rep, class Period>
    explicit timeout(std::chrono::duration<Rep, Period> d) : when_(from_now(detail::to_nanoseconds(d))) {}
    /// Makes no deadline; reschedule() may set one.
    explicit timeout(std::nullopt_t) noexcept {}
    /// Makes a deadline that counts from now if there is a duration, and else none.
    /// @throws std::logic_error without a running loop, if there is a duration.
    template<class Rep, class Period>
    explicit timeout(const std::optional<std::chrono::duration<Rep, Period>>& d) {
        if (d) when_ = from_now(detail::to_nanoseconds(*d));
    }

    timeout(timeout&& other) : when_(other.when_) {
        if (other.state_ != state::created) detail::refuse("timeout", "moved while or after it was entered");
    }
    timeout& operator=(timeout&&) = delete;
    [[gnu::noinline]] ~timeout() {} // once, not at each use

    /// Returns the deadline, if there is one.
    std::optional<time_point> when() const noexcept { return when_; }
    /// Whether the deadline passed while the block ran; true inside the block already.
    bool expired() const noexcept { return state_ == state::expiring || state_ == state::expired; }

    /// Moves the deadline, or takes it away.
    /// @param when a point in time; one that has passed takes effect in the next iteration. nullopt stands for none.
    /// @throws std::logic_error before the block, after it, and once it is expiring.
    void reschedule(std::optional<time_point> when) {
        if (state_ == state::created) detail::refuse("timeout", "reschedule before it was entered");
        if (state_ != state::entered)
            detail::refuse("timeout",
                           expired() ? "reschedule after it expired" : "reschedule after the block has ended");
        alarm_.reset();
        when_ = when;
        if (!when_) return;
        alarm_.emplace(detail::running_core(), when_->time_since_epoch().count(), *this, true);
    }

    // The resource; with() calls these.

    [[gnu::noinline]] timeout& async_enter() {
        if (state_ != state::created) detail::refuse("timeout", "has already been entered");
        task_ = current_task();
        if (!task_) detail::refuse("timeout", "should be used inside a task");
        state_ = state::entered;
        cancels_ = task_.cancelling();
        reschedule(when_);
        return *this;
    }

    void async_exit(const std::exception_ptr& error) {
        if (leave(error)) throw timeout_error();
    }

protected:
    /// @return whether the exception that leaves the block is this deadline's.
    [[gnu::noinline]] bool leave(const std::exception_ptr& error) {
        alarm_.reset();
        const any_task_handle task = std::move(task_);
        if (state_ != state::expiring) {
            state_ = state::left;
            return false;
        }
        state_ = state::expired;
        return task.uncancel() <= cancels_ && detail::is_cancellation(error);
    }

private:
    friend timeout timeout_at(std::optional<time_point> when);
    enum class state : unsigned char { created, entered, expiring, expired, left };

    [[gnu::noinline]] static time_point from_now(detail::nanoseconds_count wait) {
        return time_point(duration(detail::later(detail::running_core().now(), wait)));
    }
    void expire() noexcept {
        state_ = state::expiring;
        task_.cancel();
    }

    std::optional<time_point> when_;
    any_task_handle task_;
    detail::late_value<detail::deadline<timeout, &timeout::expire>> alarm_;
    int cancels_ = 0;
    state state_ = state::created;
};

/// Makes a timeout with an absolute deadline.
///
/// @param when a point in time of asynchio::clock; nullopt stands for none.
/// @return the resource.
inline timeout timeout_at(std::optional<time_point> when) {
    timeout made(std::nullopt);
    made.when_ = when;
    return made;
}

/// A deadline that ends its block quietly when the time is up, as a resource for with(). with() returns an optional
/// then, or for a block without a result whether it ran to its end. All else is as with timeout.
///
/// Threads: the thread of the loop.
/// Differs from Python: asyncio has nothing like it; the name is anyio's.
/// Example: `bool in_time = co_await aio::with(aio::move_on_after(1s), body);`
class [[nodiscard("move_on_after is a resource for with")]] move_on_after : public timeout {
public:
    using timeout::timeout;
    /// Tells with() that the block may end without a result.
    static constexpr bool ends_quietly = true;

    bool async_exit(const std::exception_ptr& error) { return leave(error); }
};

} // namespace asynchio

#pragma GCC visibility pop
