// SPDX-License-Identifier: BSL-1.0
#pragma once

// Two connected streams in memory, which test programs that talk by streams without the system and in virtual time.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/loop/event_loop.hpp>

#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <sys/uio.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::testing {

namespace detail {

using asynchio::detail::channel;
using asynchio::detail::direction;
using asynchio::detail::fd_watch;
using asynchio::detail::scheduler;

/// One direction: the bytes that were sent and not received yet.
class memory_pipe : public asynchio::detail::counted_object<memory_pipe> {
public:
    explicit memory_pipe(std::size_t capacity) : bytes(capacity, '\0'), size(capacity) {}

    std::size_t put(const char* from, std::size_t count) noexcept {
        if (count > size - used) count = size - used;
        for (std::size_t i = 0; i < count; ++i) bytes[(begin + used + i) % size] = from[i];
        used += count;
        return count;
    }
    std::size_t get(char* to, std::size_t count) noexcept {
        if (count > used) count = used;
        for (std::size_t i = 0; i < count; ++i) to[i] = bytes[(begin + i) % size];
        begin = (begin + count) % size;
        used -= count;
        return count;
    }

    std::string bytes;
    std::size_t size;
    std::size_t begin = 0;
    std::size_t used = 0;
    bool ended = false;
};
using pipe_ptr = asynchio::detail::counted_ptr<memory_pipe>;

/// One end. The other end is told of its events in the next iteration, as the system would.
class memory_channel final : public channel, private asynchio::detail::loop_call<memory_channel> {
public:
    memory_channel(pipe_ptr in, pipe_ptr out, const char* name) noexcept
        : in_(std::move(in)), out_(std::move(out)), name_(name) {}
    ~memory_channel() override { shut(false); }

    static void connect(memory_channel& a, memory_channel& b) noexcept {
        a.other_ = &b;
        b.other_ = &a;
    }

    io_result receive(void* into, std::size_t size) noexcept override {
        const std::size_t got = in_->get(static_cast<char*>(into), size);
        if (got != 0 && other_ != nullptr) other_->happened(fd_watch::writable);
        if (got == 0 && reset_) return {0, ECONNRESET};
        if (got == 0 && !in_->ended) return {0, EAGAIN};
        return {got, 0};
    }
    io_result send(const iovec* parts, std::size_t count) noexcept override {
        if (other_ == nullptr) return {0, reset_ ? ECONNRESET : EPIPE};
        std::size_t sent = 0;
        for (std::size_t i = 0; i < count; ++i)
            sent += out_->put(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
        if (sent == 0) return {0, EAGAIN};
        other_->happened(fd_watch::readable);
        return {sent, 0};
    }
    int end_sending() noexcept override {
        out_->ended = true;
        if (other_ != nullptr) other_->happened(fd_watch::readable | fd_watch::uneven);
        return 0;
    }
    void shut(bool abort) noexcept override {
        if (other_ == nullptr) return;
        memory_channel& other = *asynchio::detail::exchange(other_, nullptr);
        other.other_ = nullptr;
        out_->ended = true;
        other.reset_ = abort;
        other.happened(fd_watch::readable | fd_watch::writable | fd_watch::uneven);
    }
    std::string name() const override { return name_; }
    bool short_means_empty() const noexcept override { return true; }

private:
    void arm(direction) override {
        scheduler* running = asynchio::detail::this_thread.running;
        if (queued() && &loop() != running) throw std::logic_error("stream: it belongs to another event loop");
        bind(*running);
        if (what_ != 0) call_soon(); // an event is left from a loop that has ended
    }
    /// Records an event. An operation that runs now must not be begun anew, so waiting operations learn of it in the
    /// next iteration.
    void happened(unsigned char news) noexcept {
        if (!busy(direction::read) && !busy(direction::write)) return notify(news);
        what_ |= news;
        call_soon();
    }
    friend loop_call;
    void called() noexcept { notify(asynchio::detail::exchange(what_, static_cast<unsigned char>(0))); }

    pipe_ptr in_;
    pipe_ptr out_;
    const char* name_;
    memory_channel* other_ = nullptr; // null once one of them was closed
    unsigned char what_ = 0;
    bool reset_ = false;
};

} // namespace detail

/// Makes two streams, each of which reads what the other one writes.
///
/// Behaviour: they behave as two sockets. A write of more than `capacity` bytes ahead waits. write_eof(), aclose() and
/// the destruction of one stream are the end of the other one, after what was sent before. abort() is a reset: a write
/// sees it at once, and a read after what was sent before. Writing to an end that is closed fails with EPIPE.
///
/// @param capacity how many bytes fit between them, at least 1. @return the two streams.
/// @throws std::invalid_argument for 0.
/// Threads: both streams belong to one loop.
/// Lifetime: each may outlive the other.
/// Cost: `capacity` bytes for each direction; no system call.
/// Example: `auto [here, there] = testing::stream_pair(); auto serving = create_task(handle(std::move(there)));`
inline std::pair<stream, stream> stream_pair(std::size_t capacity = 65'536) {
    if (capacity == 0) throw std::invalid_argument("stream_pair: the capacity must be at least 1 byte");
    const detail::pipe_ptr there(new detail::memory_pipe(capacity));
    const detail::pipe_ptr back(new detail::memory_pipe(capacity));
    auto first = asynchio::detail::make_owner<detail::memory_channel>(back, there, "the second of a pair");
    auto second = asynchio::detail::make_owner<detail::memory_channel>(there, back, "the first of a pair");
    detail::memory_channel::connect(*first, *second);
    return {asynchio::detail::access::make<stream>(std::move(first)),
            asynchio::detail::access::make<stream>(std::move(second))};
}

} // namespace asynchio::testing

#pragma GCC visibility pop
