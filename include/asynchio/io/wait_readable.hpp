// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting for descriptors of other libraries, which read and write themselves.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/io/fd_events.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/detail/named_suspension.hpp>

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <stdexcept>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A wait for some of the events of a descriptor.
class fd_wait : public named_suspension {
public:
    fd_wait(int fd, fd_events wanted, const char* name) noexcept
        : named_suspension(name), fd_(fd), wanted_(static_cast<unsigned char>(wanted)) {}
    fd_wait(fd_wait&& other) noexcept : named_suspension(other.what_), fd_(other.fd_), wanted_(other.wanted_) {}
    fd_wait& operator=(fd_wait&&) = delete;
    ~fd_wait() override { leave(); }

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        watch(running_core());
        park(awaiting, where);
    }

    cancel_reply cancel(const shared_text&) noexcept override {
        leave();
        return cancel_reply::left;
    }

protected:
    /// Ends the wait, and returns the events that came. The descriptor is watched until now, so that events of one
    /// iteration come together.
    fd_events finish() {
        leave();
        resumed();
        return static_cast<fd_events>(seen_);
    }

private:
    static constexpr unsigned char directions[] = {fd_watch::readable, fd_watch::writable};
    static_assert(fd_watch::readable == static_cast<unsigned char>(fd_events::readable) &&
                  fd_watch::writable == static_cast<unsigned char>(fd_events::writable));

    void watch(loop_core& loop) {
        if ((wanted_ & (fd_watch::readable | fd_watch::writable)) == 0)
            throw std::invalid_argument(formatted("%s: no event to wait for", what_));
        for (const unsigned char each : directions)
            if ((wanted_ & each) != 0 && loop.outside().descriptors.has(fd_, each))
                throw std::logic_error(formatted("%s: somebody waits for descriptor %d already", what_, fd_));
        loop_ = &loop;
        try {
            for (const unsigned char each : directions)
                if ((wanted_ & each) != 0) watch(each);
        } catch (...) {
            leave();
            throw;
        }
    }
    void watch(unsigned char direction) {
        const auto ready = [this, direction] {
            if (seen_ == 0) wake();
            seen_ |= direction;
        };
        watching_[direction - 1] =
            loop_->outside().watch(fd_, direction, repeated_call_ptr(repeated_call::make(*loop_, ready)));
    }
    void leave() noexcept {
        for (const unsigned char each : directions) {
            const std::uint64_t ours = detail::exchange(watching_[each - 1], std::uint64_t(0));
            if (ours != 0) loop_->outside().descriptors.remove(fd_, each, ours);
        }
    }

    int fd_;
    unsigned char wanted_;
    unsigned char seen_ = 0;
    loop_core* loop_ = nullptr;
    std::uint64_t watching_[2] = {}; // the numbers of our registrations; 0: none
};

class [[nodiscard("waiting begins only when this is awaited")]] direction_wait final : public fd_wait {
public:
    using fd_wait::fd_wait;
    void await_resume() { finish(); }
};
class [[nodiscard("waiting begins only when this is awaited")]] events_wait final : public fd_wait {
public:
    using fd_wait::fd_wait;
    fd_events await_resume() { return finish(); }
};

} // namespace detail

/// Waits until a descriptor can be read without blocking, or its other end is gone. A descriptor that is ready already
/// is noticed in the next iteration (level-triggered).
///
/// @param fd the descriptor. The caller keeps it, and it must stay open meanwhile.
/// @throws std::system_error for a descriptor that cannot be watched, such as a file's; std::logic_error if it is
/// watched for reading already, here or by event_loop::add_reader; std::invalid_argument for a negative number.
/// Cancellation: ends the wait; nothing was read.
/// Threads: the thread of the running loop.
/// Cost: two system calls and an allocation each time; a stream registers once.
/// Example: `co_await aio::wait_readable(PQsocket(connection));`
/// See also: stream::from_descriptor, event_loop::add_reader.
inline detail::direction_wait wait_readable(int fd) noexcept {
    return detail::direction_wait(fd, fd_events::readable, "wait_readable");
}
/// Waits until a descriptor can be written without blocking, or its other end is gone. A descriptor that is ready
/// already is noticed in the next iteration (level-triggered).
///
/// @param fd the descriptor. The caller keeps it, and it must stay open meanwhile.
/// @throws std::system_error for a descriptor that cannot be watched, such as a file's; std::logic_error if it is
/// watched for writing already, here or by event_loop::add_writer; std::invalid_argument for a negative number.
/// Cancellation: ends the wait; nothing was written.
/// Threads: the thread of the running loop. Cost: as that of wait_readable().
inline detail::direction_wait wait_writable(int fd) noexcept {
    return detail::direction_wait(fd, fd_events::writable, "wait_writable");
}
/// Waits until a descriptor is ready for at least one of several events (level-triggered).
///
/// @param fd the descriptor. The caller keeps it, and it must stay open meanwhile.
/// @param events what to wait for, such as `fd_events::readable | fd_events::writable`.
/// @return those of the events that have come; an end or an error of the descriptor is readiness for all of them.
/// @throws as wait_readable(), also if it is watched for one of the events already; std::invalid_argument for no event.
/// Cancellation: ends the wait; nothing was read or written.
/// Threads: the thread of the running loop. Cost: as that of wait_readable(), for each event.
inline detail::events_wait wait_ready(int fd, fd_events events) noexcept {
    return detail::events_wait(fd, events, "wait_ready");
}

} // namespace asynchio

#pragma GCC visibility pop
