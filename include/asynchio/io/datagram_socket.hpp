// SPDX-License-Identifier: BSL-1.0
#pragma once

// Messages that arrive whole or not at all: UDP, and datagrams of Unix-domain sockets.

#include <asynchio/core/detail/owner.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/detail/channel.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/readiness.hpp>
#include <asynchio/io/detail/socket_address.hpp>
#include <asynchio/io/detail/socket_file.hpp>
#include <asynchio/io/detail/watched_descriptor.hpp>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// What receive_from gives.
struct datagram {
    std::size_t size = 0;   // bytes in the caller's memory
    address from;           // empty for a Unix-domain socket without a name
    bool truncated = false; // it was larger than that memory; the rest is gone
};

namespace detail {

/// A datagram socket as something to wait for. The file of a Unix-domain socket goes with it.
class datagram_channel final : public watched_descriptor<readiness> {
public:
    using watched_descriptor<readiness>::watched_descriptor;

    bool closed() const noexcept { return handle() < 0; }
    void close() noexcept {
        file = socket_file();
        close_descriptor();
        notify(fd_watch::readable | fd_watch::writable);
    }
    address local() const { return local_address_of(handle()); }

    address peer; // that it is connected to
    socket_file file;
};

/// Sends or receives one datagram.
class datagram_operation : public io_operation {
public:
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        suspend(awaiting, where);
    }
    bool await_ready(bool may_give_way = true) { return begin(may_give_way); }

protected:
    datagram_operation(datagram_channel& c, direction d, const char* name, mutable_byte_view data,
                       const address& other) noexcept
        : io_operation(c, d, name), channel_(&c), direction_(d), data_(data), other_(other) {}
    datagram_operation(datagram_operation&& other) noexcept // before it is awaited
        : datagram_operation(*other.channel_, other.direction_, other.waiting_for(), other.data_, other.other_) {}

    void finish() {
        io_operation::finish();
        if (channel_->closed()) throw std::logic_error(std::string(waiting_for()) + ": the socket is closed");
        if (error_ != 0) fail(error_, waiting_for() + places());
    }

    datagram_channel* channel_;
    direction direction_;
    mutable_byte_view data_;
    address other_;
    std::size_t count_ = 0;
    bool truncated_ = false;

private:
    /// "send to PEER", "receive at HERE from PEER".
    std::string places() const {
        const address& target = other_ ? other_ : channel_->peer;
        if (direction_ == direction::write && target) return " to " + target.to_string();
        const std::string here = " at " + channel_->local().to_string();
        return target ? here + " from " + target.to_string() : here;
    }
    bool attempt() noexcept override {
        if (channel_->closed()) return true;
        if (!channel_->open(direction_)) return false;
        iovec part{data_.data(), data_.size()};
        sockaddr_storage peer{};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const bool sends = direction_ == direction::write;
        message.msg_name =
            sends ? (other_ ? const_cast<sockaddr*>(other_.data()) : nullptr) : reinterpret_cast<sockaddr*>(&peer);
        message.msg_namelen = sends ? other_.size() : static_cast<socklen_t>(sizeof peer);
        const io_result r = io_result::of(uninterrupted([&] {
            return sends ? calls.sendmsg(channel_->handle(), &message, MSG_NOSIGNAL)
                         : calls.recvmsg(channel_->handle(), &message, 0);
        }));
        if (r.error == EAGAIN) {
            channel_->blocked(direction_);
            return false;
        }
        error_ = r.error;
        count_ = r.count;
        if (sends || error_ != 0) return true;
        truncated_ = (message.msg_flags & MSG_TRUNC) != 0;
        other_ = address(reinterpret_cast<const sockaddr*>(&peer), message.msg_namelen);
        return true;
    }

    int error_ = 0;
};

class [[nodiscard("sending begins only when this is awaited")]] send_operation final : public datagram_operation {
public:
    send_operation(datagram_channel & c, byte_view data, const address& to) noexcept
        : datagram_operation(c, direction::write, "send", mutable_byte_view(const_cast<void*>(data.data()), data.size()),
                             to) {}
    send_operation(send_operation &&) noexcept = default;
    send_operation& operator=(send_operation&&) = delete;
    ~send_operation() override = default;
    void await_resume() { finish(); }
};

class [[nodiscard("receiving begins only when this is awaited")]] receive_operation final : public datagram_operation {
public:
    receive_operation(datagram_channel & c, mutable_byte_view into) noexcept
        : datagram_operation(c, direction::read, "receive", into, address()) {}
    receive_operation(receive_operation &&) noexcept = default;
    receive_operation& operator=(receive_operation&&) = delete;
    ~receive_operation() override = default;
    datagram await_resume() {
        finish();
        return {count_, other_, truncated_};
    }
};

} // namespace detail

/// A socket for datagrams.
///
/// Behaviour: one task may send while another one receives; each datagram is taken by one call. An error is of the call
/// that it was given to (an earlier datagram that nobody took, for instance): the socket can be used on.
/// Cancellation: a cancelled send has sent nothing; a cancelled receive leaves the datagram for the next one.
/// Threads: those of the loop in which it is used first. Lifetime: the destructor closes it.
/// Cost: one allocation. Differs from Python: no protocol class; calls are awaited.
/// Example: `aio::datagram_socket s = aio::datagram_socket::bound(aio::address::ip("127.0.0.1", 0));`
/// See also: stream.
class datagram_socket {
public:
    /// Receives what is sent to `where`; port 0 picks one, see local_address(). The file of a Unix-domain socket is removed
    /// at close, and first if it was left by one that is gone. @throws std::system_error naming it.
    static datagram_socket bound(const address& where) {
        datagram_socket made(make(where.family()));
        detail::socket_file::remove_stale(where);
        detail::socket_file file(where);
        if (detail::calls.bind(made.native_handle(), where.data(), where.size()) != 0)
            detail::fail(errno, "bind to " + where.to_string());
        file.bound();
        made.open().file = std::move(file);
        return made;
    }
    /// Sends to `peer` and receives from there only. @throws std::system_error naming it.
    static datagram_socket connected(const address& peer) {
        datagram_socket made(make(peer.family()));
        made.connect(peer);
        return made;
    }

    datagram_socket(datagram_socket&&) noexcept = default;
    datagram_socket& operator=(datagram_socket&&) noexcept = default;
    ~datagram_socket() = default;

    /// From now on as if made by connected().
    void connect(const address& peer) {
        const int fd = open().handle();
        if (detail::uninterrupted([&] { return detail::calls.connect(fd, peer.data(), peer.size()); }) != 0)
            detail::fail(errno, "connect to " + peer.to_string());
        open().peer = peer;
    }

    /// Sends one datagram to `to`, waiting until the system takes it. @throws std::system_error naming `to`.
    detail::send_operation send_to(byte_view data, const address& to) { return {open(), data, to}; }
    /// The same to where it is connected to.
    detail::send_operation send(byte_view data) { return {open(), data, address()}; }
    /// Waits for a datagram, and puts it into `into`.
    /// @return its size, sender, and whether it was cut off. @throws std::system_error when that fails.
    detail::receive_operation receive_from(mutable_byte_view into) { return {open(), into}; }

    /// Closes it; who waits gets std::logic_error.
    void close() { open().close(); }
    bool is_closed() const noexcept { return channel_ == nullptr || channel_->closed(); }
    address local_address() const { return open().local(); }
    int native_handle() const { return open().handle(); }

private:
    explicit datagram_socket(detail::descriptor made)
        : channel_(detail::make_owner<detail::datagram_channel>(std::move(made))) {}

    static detail::descriptor make(int family) {
        detail::descriptor made(detail::calls.socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!made) detail::fail(errno, "datagram_socket");
        return made;
    }
    detail::datagram_channel& open() const {
        if (channel_ == nullptr) throw std::logic_error("datagram_socket: it was moved from");
        return *channel_;
    }

    detail::owner<detail::datagram_channel> channel_;
};

} // namespace asynchio

#pragma GCC visibility pop
