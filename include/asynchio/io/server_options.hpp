// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options of servers.

#include <asynchio/io/tcp_options.hpp>

#include <optional>

#pragma GCC visibility push(default)

namespace asynchio {

/// The options of start_server(), start_unix_server() and start_server_on(): those of stream sockets, which the
/// connections have, and these.
///
/// Threads: a plain value.
/// Example: `aio::server_options o; o.keep_alive = true; o.backlog = 1000;`
struct server_options : tcp_options {
    server_options() = default;

    /// How many connections may wait in the system, and how many are accepted in a row; at least 1.
    int backlog = 128;
    /// Whether an address can be bound although connections of an earlier server linger there.
    bool reuse_address = true;
    /// Whether several servers, in several loops or processes, share the port. The system distributes the connections.
    bool reuse_port = false;
    /// Whether the server listens at once. Otherwise clients cannot connect before start_serving().
    bool start_serving = true;
    /// The permissions of the file of a Unix-domain socket, such as 0660; without a value, those that the umask leaves.
    /// They hold before anybody can connect.
    std::optional<unsigned> mode = std::nullopt;
};

} // namespace asynchio

#pragma GCC visibility pop
