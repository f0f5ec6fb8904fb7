// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options of connections to Redis.

#include <asynchio/io/stream.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/task/task.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio::hiredis {

/// How a server is connected to.
///
/// Threads: a plain value.
/// See also: connection::open.
struct options {
    options() = default;

    /// The name or the address of the server.
    std::string host = "localhost";
    /// Its port, 1 to 65535.
    int port = 6379;
    /// The path of its Unix socket; if this is not empty, host and port do not count.
    std::string unix_path = {};
    /// What connects, if this is not empty: then host, port and path do not count. For TLS, it is a function that returns
    /// `openssl::open_connection(...)`.
    std::function<task<stream>()> open_stream = {};
    /// The user's name; empty for the default user.
    std::string user = {};
    /// The password; empty if the server wants none.
    std::string password = {};
    /// The number of the database, from 0 on.
    int database = 0;
    /// How long one attempt to connect may take: resolving the name, connecting and logging in.
    duration connect_timeout = std::chrono::seconds(5);

    /// Whether a connection that is lost is made again. If not, the first loss closes it.
    bool reconnect = true;
    /// The pause before the second attempt to connect again. It doubles from attempt to attempt; each is shortened by up
    /// to a half at random, so that not all clients of a server come at once.
    duration first_pause = std::chrono::milliseconds(50);
    /// The maximum of that pause.
    duration longest_pause = std::chrono::seconds(2);
    /// How long a command that was issued while there is no connection waits for one.
    duration wait_timeout = std::chrono::seconds(10);

    /// The maximum number of commands under way, at least 1: further ones wait for their turn. A command that was
    /// cancelled counts until its reply has come.
    std::size_t max_commands = 10'000;
    /// The maximum size of a reply in bytes; a larger one closes the connection.
    std::size_t max_reply = std::size_t(1) << 30;
};

} // namespace asynchio::hiredis

#pragma GCC visibility pop
