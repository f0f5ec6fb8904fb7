// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sockets whose messages arrive whole or not at all: UDP, and datagrams of Unix-domain sockets.

#include <asynchio/core/detail/owner.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/byte_channel.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/datagram_options.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/multicast.hpp>
#include <asynchio/io/detail/readiness.hpp>
#include <asynchio/io/detail/socket_address.hpp>
#include <asynchio/io/detail/socket_file.hpp>
#include <asynchio/io/detail/watched_descriptor.hpp>

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <netinet/in.h>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The result of datagram_socket::receive_from().
///
/// Threads: a plain value.
struct datagram {
    /// How many bytes were put into the caller's memory.
    std::size_t size = 0;
    /// The sender; empty for a Unix-domain socket without a name.
    address from;
    /// Whether the datagram was larger than the caller's memory. The rest of it is lost.
    bool truncated = false;
};

namespace detail {

/// A datagram socket that tasks can wait for. It owns the file of a Unix-domain socket.
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

    address peer; // the address that it is connected to
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
    /// Returns the end of a message: " to PEER", or " at HERE from PEER".
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
    send_operation(datagram_channel& c, byte_view data, const address& to) noexcept
        : datagram_operation(c, direction::write, "send",
                             mutable_byte_view(const_cast<void*>(data.data()), data.size()), to) {}
    send_operation(send_operation&&) noexcept = default;
    send_operation& operator=(send_operation&&) = delete;
    ~send_operation() override = default;
    void await_resume() { finish(); }
};

class [[nodiscard("receiving begins only when this is awaited")]] receive_operation final : public datagram_operation {
public:
    receive_operation(datagram_channel& c, mutable_byte_view into) noexcept
        : datagram_operation(c, direction::read, "receive", into, address()) {}
    receive_operation(receive_operation&&) noexcept = default;
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
/// Behaviour: one task may send while another one receives; a second task in one direction gets std::logic_error. One
/// call takes one datagram. An error belongs to the call that reports it (the system may report there that an earlier
/// datagram reached nobody); the socket remains usable.
/// Cancellation: a cancelled send has sent nothing; a cancelled receive leaves the datagram for the next call.
/// Threads: the thread of the loop in which a call waits first.
/// Lifetime: the destructor closes the socket.
/// Cost: one allocation.
/// Differs from Python: there is no protocol class; calls are awaited.
/// Example: `aio::datagram_socket s = aio::datagram_socket::bound(aio::address::ip("127.0.0.1", 0));`
/// See also: stream.
class datagram_socket {
public:
    /// Returns a socket that receives what is sent to `where`. The file of a Unix-domain socket is removed at close; a
    /// file that a closed socket has left behind is removed first.
    /// @param where an address of this machine; port 0 picks a free one, see local_address(). A multicast group's
    /// address receives only what is sent to that group, which must be joined, too.
    /// @param options of the socket.
    /// @throws std::system_error with `where` in its text if the socket cannot be made or bound, std::invalid_argument
    /// for options that cannot be.
    static datagram_socket bound(const address& where, const datagram_options& options = {}) {
        datagram_socket made(make(where, options));
        detail::socket_file::remove_stale(where);
        detail::socket_file file(where);
        if (detail::calls.bind(made.native_handle(), where.data(), where.size()) != 0)
            detail::fail(errno, "bind to " + where.to_string());
        file.bound();
        made.open().file = std::move(file);
        return made;
    }
    /// Returns a socket that sends to `peer` and receives from there only.
    /// @param peer the address. @param options of the socket.
    /// @throws std::system_error with `peer` in its text if the socket cannot be made or connected,
    /// std::invalid_argument for options that cannot be.
    static datagram_socket connected(const address& peer, const datagram_options& options = {}) {
        datagram_socket made(make(peer, options));
        made.connect(peer);
        return made;
    }
    /// Returns a socket over a descriptor that was made elsewhere, and owns it from then on. The descriptor becomes
    /// non-blocking, for every process that shares it. The file of a Unix-domain socket stays, since others have made
    /// it.
    /// @param fd the descriptor of a datagram socket. If the call fails, it is closed, too.
    /// @throws std::system_error if `fd` is not a socket's, std::invalid_argument for a socket of another kind.
    static datagram_socket from_descriptor(int fd);

    datagram_socket(datagram_socket&&) noexcept = default;
    datagram_socket& operator=(datagram_socket&&) noexcept = default;
    ~datagram_socket() = default;

    /// Connects the socket to `peer`: from now on it sends to `peer` and receives from there only. Does not wait.
    /// @throws std::system_error with `peer` in its text.
    void connect(const address& peer) {
        const int fd = open().handle();
        if (detail::uninterrupted([&] { return detail::calls.connect(fd, peer.data(), peer.size()); }) != 0)
            detail::fail(errno, "connect to " + peer.to_string());
        open().peer = peer;
    }

    /// Sends one datagram to `to`, and waits until the system takes it.
    /// @param data the datagram, which must stay in place until the call is over.
    /// @throws std::system_error with `to` in its text, std::logic_error if the socket is closed or another task sends.
    /// Cancellation: nothing was sent.
    detail::send_operation send_to(byte_view data, const address& to) { return {open(), data, to}; }
    /// Sends one datagram to the address that the socket is connected to, and waits until the system takes it.
    /// @throws std::system_error with that address in its text, std::logic_error as send_to() does.
    /// Cancellation: nothing was sent.
    detail::send_operation send(byte_view data) { return {open(), data, address()}; }
    /// Waits for a datagram, and puts it into `into`; what does not fit is lost, and the result says so.
    /// @return its size, its sender, and whether it was cut off.
    /// @throws std::system_error if receiving fails, std::logic_error if the socket is closed or another task receives.
    /// Cancellation: the datagram stays for the next call.
    detail::receive_operation receive_from(mutable_byte_view into) { return {open(), into}; }

    /// Joins a multicast group: receives what is sent to it, at the port that the socket is bound to.
    /// @param group the address of the group, whose port does not count. @param device the name or number of the
    /// network device; an empty text stands for the scope of the address, or the system's choice.
    /// @throws std::system_error with the group in its text; std::invalid_argument for an address that is no group's, or
    /// an interface that is not there.
    void join_group(const address& group, std::string_view device = {}) {
        detail::change_membership(usable(), group, device, true);
    }
    /// Leaves a multicast group. @param group as it was joined. @param device as it was joined.
    /// @throws as join_group(), also if it was not joined.
    void leave_group(const address& group, std::string_view device = {}) {
        detail::change_membership(usable(), group, device, false);
    }
    /// Sets whether what this socket sends to a group comes to the sockets of this machine, too; at first it does.
    /// @throws std::system_error if the system refuses.
    void set_multicast_loop(bool on) {
        detail::set_multicast(usable(), family(), IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, on ? 1 : 0,
                              "set_multicast_loop");
    }
    /// Sets how many routers may pass on what this socket sends to a group; at first it is 1: it stays in the network.
    /// @param hops 0 to 255. @throws std::invalid_argument for any other number, std::system_error if the system refuses.
    void set_multicast_ttl(int hops) {
        if (hops < 0 || hops > 255) throw std::invalid_argument("set_multicast_ttl: it is 0 to 255");
        detail::set_multicast(usable(), family(), IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, hops, "set_multicast_ttl");
    }
    /// Sets the network interface by which datagrams to groups leave.
    /// @param device its name or number; an empty text leaves it to the system.
    /// @throws std::invalid_argument for one that is not there, std::system_error if the system refuses.
    void set_multicast_interface(std::string_view device) {
        detail::set_multicast_interface(usable(), family(), device);
    }

    /// Closes the socket. Tasks that wait for it get std::logic_error. A second call does nothing.
    void close() { open().close(); }
    /// Whether the socket was closed or moved from.
    bool is_closed() const noexcept { return channel_ == nullptr || channel_->closed(); }
    /// Returns the address that the socket is bound to; empty if it has none.
    address local_address() const { return open().local(); }
    /// Returns the descriptor, for setsockopt(2) and the like; -1 once it is closed. The socket keeps it.
    int native_handle() const { return open().handle(); }

private:
    explicit datagram_socket(detail::descriptor made)
        : channel_(detail::make_owner<detail::datagram_channel>(std::move(made))) {}

    static detail::descriptor make(const address& where, const datagram_options& options) {
        detail::require_valid(options, "datagram_socket");
        detail::descriptor made(detail::calls.socket(where.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!made) detail::fail(errno, "datagram_socket");
        detail::apply(options, made.get(), where);
        return made;
    }
    int family() const { return open().local().family(); }
    int usable() const {
        if (is_closed()) throw std::logic_error("datagram_socket: it is closed or was moved from");
        return open().handle();
    }
    detail::datagram_channel& open() const {
        if (channel_ == nullptr) throw std::logic_error("datagram_socket: it was moved from");
        return *channel_;
    }

    detail::owner<detail::datagram_channel> channel_;
};

inline datagram_socket datagram_socket::from_descriptor(int fd) {
    detail::descriptor owned(fd);
    const std::string name = "datagram_socket of descriptor " + std::to_string(fd);
    int type = 0;
    socklen_t size = sizeof type;
    if (fd < 0) detail::fail(EBADF, name);
    if (detail::calls.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) detail::fail(errno, name);
    if (type != SOCK_DGRAM) throw std::invalid_argument(name + ": it is no datagram socket");
    const int flags = detail::calls.fcntl(fd, F_GETFL, 0);
    if (flags < 0 || detail::calls.fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) detail::fail(errno, name);
    datagram_socket made(std::move(owned));
    sockaddr_storage peer{};
    size = sizeof peer;
    if (detail::calls.getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0)
        made.open().peer = address(reinterpret_cast<const sockaddr*>(&peer), size);
    return made;
}

} // namespace asynchio

#pragma GCC visibility pop
