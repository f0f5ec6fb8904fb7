// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting for descriptors of other libraries, which read and write themselves.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/suspension.hpp>

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

class [[nodiscard("waiting begins only when this is awaited")]] readiness_awaiter final : public suspension {
public:
    readiness_awaiter(int fd, unsigned char direction) noexcept : fd_(fd), direction_(direction) {}
    readiness_awaiter(readiness_awaiter && other) noexcept : readiness_awaiter(other.fd_, other.direction_) {}
    readiness_awaiter& operator=(readiness_awaiter&&) = delete;
    ~readiness_awaiter() override { leave(); }

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        auto& loop = get_running_loop();
        if (loop.outside().descriptors.has(fd_, direction_))
            throw std::logic_error(std::string(waiting_for()) + ": somebody waits for descriptor " +
                                   std::to_string(fd_) + " already");
        const auto ready = [this] {
            leave();
            wake();
        };
        watching_ = loop.outside().watch(fd_, direction_, repeated_call_ptr(repeated_call::make(loop, ready)));
        park(awaiting, where);
    }
    void await_resume() { resumed(); }

    const char* waiting_for() const noexcept override {
        return direction_ == fd_watch::readable ? "wait_readable" : "wait_writable";
    }
    cancel_reply cancel(const shared_text&) noexcept override {
        leave();
        return cancel_reply::left;
    }

private:
    void leave() noexcept {
        const std::uint64_t ours = detail::exchange(watching_, std::uint64_t(0));
        if (ours != 0) static_cast<event_loop&>(*task()->loop).outside().descriptors.remove(fd_, direction_, ours);
    }

    int fd_;
    unsigned char direction_;
    std::uint64_t watching_ = 0; // the number of our registration; 0: none
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
inline detail::readiness_awaiter wait_readable(int fd) noexcept {
    return detail::readiness_awaiter(fd, detail::fd_watch::readable);
}
/// Waits until a descriptor can be written without blocking, or its other end is gone. A descriptor that is ready
/// already is noticed in the next iteration (level-triggered).
///
/// @param fd the descriptor. The caller keeps it, and it must stay open meanwhile.
/// @throws std::system_error for a descriptor that cannot be watched, such as a file's; std::logic_error if it is
/// watched for writing already, here or by event_loop::add_writer; std::invalid_argument for a negative number.
/// Cancellation: ends the wait; nothing was written.
/// Threads: the thread of the running loop. Cost: as that of wait_readable().
inline detail::readiness_awaiter wait_writable(int fd) noexcept {
    return detail::readiness_awaiter(fd, detail::fd_watch::writable);
}

} // namespace asynchio

#pragma GCC visibility pop
