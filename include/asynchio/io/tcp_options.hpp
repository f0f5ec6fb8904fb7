// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options that the sockets of servers and connections have.

#include <asynchio/io/address.hpp>
#include <asynchio/io/socket_options.hpp>

#include <sys/socket.h>

#pragma GCC visibility push(default)

namespace asynchio {

/// The options of stream sockets, which server_options and connect_options share.
///
/// Threads: a plain value.
struct tcp_options : socket_options {
    tcp_options() = default;

    /// Whether the system probes idle TCP connections, and ends those whose peer is gone.
    bool keep_alive = false;
    /// Whether small writes of TCP are sent at once. Otherwise the system may wait for more to send with them.
    bool no_delay = true;
};

namespace detail {

/// Sets the options that a listening socket passes on to its connections, and that a new connection has.
/// @throws std::system_error with the option's name and the address.
inline void apply(const tcp_options& options, int fd, const address& where) {
    if (options.keep_alive && where.is_ip()) require_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE", where);
    apply(static_cast<const socket_options&>(options), fd, where);
}

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
