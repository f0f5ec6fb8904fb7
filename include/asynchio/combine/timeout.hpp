// SPDX-License-Identifier: BSL-1.0
#pragma once

// A deadline for a block.

#include <asynchio/combine/detail/deadline.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/task/current_task.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A resource for `with`: when the time is up, whatever the block waits for is cancelled, and the cancellation that
/// leaves the block becomes a timeout_error. Inside, the block sees cancelled_error.
///
/// Behaviour: only the block whose deadline passed converts, and only if nobody else asked to cancel the task; a block
/// that never waits is not interrupted; one that swallows the cancellation ends as it likes. Blocks nest.
/// Lifetime: not moved while it is entered. May be asked afterwards: `expired()`, `when()`.
/// Differs from Python: the block is the body given to with.
/// Example: `auto limit = aio::timeout(5s); co_await aio::with(limit, body); if (limit.expired()) ...`
/// See also: wait_for, move_on_after.
class [[nodiscard("a timeout is a resource for with")]] timeout {
public:
    /// From now on; 0 or less: at the first suspension.
    /// @throws std::logic_error without a running loop.
    template<class Rep, class Period>
    explicit timeout(std::chrono::duration<Rep, Period> d)
        : when_(from_now(detail::to_nanoseconds(d))) {}
    /// Never, until reschedule() says so.
    explicit timeout(std::nullopt_t) noexcept {}
    template<class Rep, class Period>
    explicit timeout(const std::optional<std::chrono::duration<Rep, Period>>& d) {
        if (d) when_ = from_now(detail::to_nanoseconds(*d));
    }

    timeout(timeout&& other) : when_(other.when_) {
        if (other.state_ != state::created) detail::refuse("timeout", "moved while or after it was entered");
    }
    timeout& operator=(timeout&&) = delete;
    [[gnu::noinline]] ~timeout() {} // once, not at each use

    /// The deadline, if there is one.
    std::optional<time_point> when() const noexcept { return when_; }
    /// Whether the deadline passed while the block ran; true inside the block already.
    bool expired() const noexcept { return state_ == state::expiring || state_ == state::expired; }

    /// Moves the deadline, or takes it away. A point that has passed: in the next iteration.
    /// @throws std::logic_error before the block, after it, and once it is expiring.
    void reschedule(std::optional<time_point> when) {
        if (state_ == state::created) detail::refuse("timeout", "reschedule before it was entered");
        if (state_ != state::entered)
            detail::refuse("timeout",
                           expired() ? "reschedule after it expired" : "reschedule after the block has ended");
        alarm_.reset();
        when_ = when;
        if (!when_) return;
        alarm_.emplace(get_running_loop(), when_->time_since_epoch().count(), *this, true);
    }

    // The resource; called by with.

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
    friend detail::deadline<timeout>;
    friend timeout timeout_at(std::optional<time_point> when);
    enum class state : unsigned char { created, entered, expiring, expired, left };

    [[gnu::noinline]] static time_point from_now(detail::nanoseconds_count wait) {
        return time_point(duration(detail::later(get_running_loop().now(), wait)));
    }
    void on_deadline() noexcept {
        state_ = state::expiring;
        task_.cancel();
    }

    std::optional<time_point> when_;
    any_task_handle task_;
    detail::late_value<detail::deadline<timeout>> alarm_;
    int cancels_ = 0;
    state state_ = state::created;
};

/// The same with an absolute deadline on asynchio::clock; nullopt: never.
inline timeout timeout_at(std::optional<time_point> when) {
    timeout made(std::nullopt);
    made.when_ = when;
    return made;
}

/// A resource for `with` that ends its block quietly when the time is up: `with` gives an optional, or for a block
/// without a result whether it ran to its end.
///
/// Otherwise as timeout. Differs from Python: asyncio has none; the name is anyio's.
/// Example: `bool in_time = co_await aio::with(aio::move_on_after(1s), body);`
class [[nodiscard("move_on_after is a resource for with")]] move_on_after : public timeout {
public:
    using timeout::timeout;
    static constexpr bool ends_quietly = true;

    bool async_exit(const std::exception_ptr& error) { return leave(error); }
};

} // namespace asynchio

#pragma GCC visibility pop
