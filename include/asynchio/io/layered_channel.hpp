// SPDX-License-Identifier: BSL-1.0
#pragma once

// The base of carriers that stand on another stream and transform its bytes.

#include <asynchio/io/byte_channel.hpp>
#include <asynchio/io/detail/channel.hpp>
#include <asynchio/io/detail/readiness.hpp>
#include <asynchio/io/stream.hpp>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <sys/uio.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The base of a carrier over another stream, whose bytes it transforms: TLS, compression, a protocol of frames.
///
/// Behaviour: receive_below() and send_below() are the calls of the stream below that never wait. When something has
/// changed there, ready_below() is called, which by default lets the stream above try again. Bytes that the stream
/// below has read ahead come first. If a server closes, drains or aborts the connection below, the layer above sees that
/// as an end or an error.
/// Threads: the thread of the loop in which the stream is used.
/// Lifetime: owns the stream below, and closes it in shut().
/// Cost: no allocation.
/// See also: byte_channel, whose functions a layer defines: receive() and send() at least.
class layered_channel : public byte_channel {
public:
    /// @param below the stream to stand on, which no task uses any more; otherwise it stays the caller's.
    /// @throws std::logic_error if `below` is empty, or a task reads from it or writes to it.
    explicit layered_channel(stream&& below) : relay_(*this) {
        detail::channel& under = detail::channel_of(below);
        if (under.busy(detail::direction::read) || under.busy(detail::direction::write))
            throw std::logic_error("layered_channel: a task waits for the stream below");
        under.report_to(&relay_);
        below_ = std::move(below);
    }
    ~layered_channel() override {
        if (below_) under().report_to(nullptr);
    }

    /// Tells the other side of the stream below that no more bytes will come. A layer that has an end of its own sends
    /// that first.
    /// @return an error number, or 0.
    int end_sending() noexcept override { return under().closed() ? EPIPE : under().end_sending(); }
    /// Closes the stream below. A layer that has an end of its own sends that first.
    /// @param abort whether what was not delivered yet is dropped.
    void shut(bool abort) noexcept override {
        if (below_) under().close(abort);
    }
    /// Returns the name of the other side of the stream below.
    std::string name() const override { return below_ ? under().name() : released_->name; }
    /// Returns the local address of the stream below.
    address local_address() const override { return below_ ? under().local() : address(); }
    /// Returns the peer's address of the stream below.
    address peer_address() const override { return below_ ? under().peer() : released_->peer; }
    /// Returns the descriptor of the stream below.
    int native_handle() const noexcept override { return below_ ? under().descriptor() : -1; }
    /// Has ready_below() called for `what`. A layer that has to send in order to receive, or the reverse, asks for both.
    void begin_wait(fd_events what) override { wait_below(what); }

protected:
    /// Receives from the stream below what has come there.
    /// @param into the memory. @return as byte_channel::receive().
    io_result receive_below(mutable_byte_view into) noexcept {
        detail::channel& from = under();
        if (!from.buffer().empty()) {
            const std::size_t count = from.buffer().size() < into.size() ? from.buffer().size() : into.size();
            std::memcpy(into.data(), from.buffer().view().data(), count);
            from.buffer().consume(count);
            return io_result::bytes(count);
        }
        if (!from.ended()) {
            const std::size_t count = from.received(from.receive(into.data(), into.size()), into.size());
            if (count != 0) return io_result::bytes(count);
        }
        if (const int error = from.error_number(detail::direction::read)) return io_result::failed(error);
        return from.at_end() ? io_result::end() : io_result::would_block();
    }
    /// Sends to the stream below, as much as it takes now.
    /// @param parts the first part. @param count how many parts there are.
    /// @return as byte_channel::send(); EPIPE once the stream below is closed.
    io_result send_below(const iovec* parts, std::size_t count) noexcept {
        detail::channel& to = under();
        if (!to.closed() && !to.failed(detail::direction::write)) {
            const std::size_t taken = to.sent(to.send(parts, count));
            if (taken != 0) return io_result::bytes(taken);
        }
        if (const int error = to.error_number(detail::direction::write)) return io_result::failed(error);
        return to.closed() ? io_result::failed(EPIPE) : io_result::would_block();
    }
    /// Sends bytes in one piece to the stream below, as many as it takes now.
    /// @param data what to send. @return as byte_channel::send().
    io_result send_below(byte_view data) noexcept {
        if (data.empty()) return io_result::bytes(0);
        const iovec part{const_cast<void*>(data.data()), data.size()};
        return send_below(&part, 1);
    }
    /// Has ready_below() called when the stream below may be ready for `what`, also if no task waits: a layer with bytes
    /// of its own to send asks for writable.
    /// @throws std::system_error if the descriptor below cannot be watched, std::logic_error in another loop.
    void wait_below(fd_events what) {
        if ((what & fd_events::readable) != fd_events::none) under().request(detail::direction::read);
        if ((what & fd_events::writable) != fd_events::none) under().request(detail::direction::write);
    }
    /// Called when the stream below may be ready. The default lets the stream above try again in these directions.
    /// @param what the directions; both after an error or when the stream below was closed.
    virtual void ready_below(fd_events what) noexcept { notify(what); }
    /// Whether the stream below has ended because this side has closed it, or because a server drains its connections:
    /// an end that is no mistake of the peer.
    bool ended_here() const noexcept { return under().ended_here(); }
    /// Gives up the stream below, for a layer that in shut() still has something to send: a task can go on with it. From
    /// then on only the queries may be called.
    stream release_below() {
        released_ = detail::make_owner<released>(released{name(), peer_address()});
        under().report_to(nullptr);
        return std::move(below_);
    }
    /// Returns the stream below, for queries.
    const stream& below() const noexcept { return below_; }

private:
    class relay final : public detail::readiness_listener {
    public:
        explicit relay(layered_channel& to) noexcept : to_(to) {}
        void ready(unsigned char what) noexcept override {
            to_.ready_below(static_cast<fd_events>(what) & (fd_events::readable | fd_events::writable));
        }

    private:
        layered_channel& to_;
    };
    /// What is known of a stream below that was given up.
    struct released {
        std::string name;
        address peer;
        static void dispose(const released* p) noexcept { delete p; }
    };
    detail::channel& under() const noexcept { return detail::channel_of(below_); }

    relay relay_;
    stream below_;
    detail::owner<released> released_;
};

} // namespace asynchio

#pragma GCC visibility pop
