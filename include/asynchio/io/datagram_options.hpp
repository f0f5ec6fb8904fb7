// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options of datagram sockets.

#include <asynchio/io/address.hpp>
#include <asynchio/io/socket_options.hpp>

#include <sys/socket.h>

#pragma GCC visibility push(default)

namespace asynchio {

/// The options of datagram_socket::bound() and connected(): those of all sockets, and these.
///
/// Threads: a plain value.
/// Example: `aio::datagram_options o; o.reuse_address = true; // several receivers of one multicast group`
struct datagram_options : socket_options {
    datagram_options() = default;

    /// Whether several sockets may be bound to one port if all of them say so. Each of them gets what is sent to a
    /// multicast group; anything else goes to one of them.
    bool reuse_address = false;
    /// Whether several sockets of one user share a port; the system distributes the datagrams by sender.
    bool reuse_port = false;
    /// Whether the socket may send to the broadcast address of a network.
    bool broadcast = false;
};

namespace detail {

/// Sets the options of a new socket. @throws std::system_error with the option's name and the address.
inline void apply(const datagram_options& options, int fd, const address& where) {
    if (where.is_ip()) {
        if (options.reuse_address) require_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", where);
        if (options.reuse_port) require_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", where);
        if (options.broadcast) require_option(fd, SOL_SOCKET, SO_BROADCAST, 1, "SO_BROADCAST", where);
    }
    apply(static_cast<const socket_options&>(options), fd, where);
    options.configure(fd, where);
}

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
