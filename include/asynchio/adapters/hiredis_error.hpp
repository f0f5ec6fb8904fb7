// SPDX-License-Identifier: BSL-1.0
#pragma once

// The errors of Redis: what the server says against a command, and lost connections.

#include <stdexcept>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace asynchio::hiredis {

/// What the server says against a command, or a reply that is not of the type that was asked for.
///
/// Threads: a plain exception.
class error : public std::runtime_error {
public:
    /// Makes an error that is not the server's. @param message what is wrong.
    explicit error(const std::string& message) : error(message, {}) {}
    /// Makes the error of a server. @param message what it says. @param code the word in front of that.
    error(const std::string& message, std::string_view code)
        : std::runtime_error("redis: " + message), message_(message), code_(code) {}

    /// The word with which the server's error begins, such as "WRONGTYPE" or "ERR"; empty if the error is not the
    /// server's.
    const std::string& code() const noexcept { return code_; }
    /// The message alone; that of a server begins with its code.
    const std::string& message() const noexcept { return message_; }

private:
    std::string message_, code_;
};

/// No connection could be made, or it is lost.
///
/// Behaviour: a command that was sent and not answered is never sent again, since the server may have carried it out;
/// was_sent() tells of that. If it returns false, the command can be issued once more.
/// Threads: a plain exception.
class connection_error : public error {
public:
    /// Makes an error. @param message what is wrong. @param was_sent whether it is that of a command that was sent.
    explicit connection_error(const std::string& message, bool was_sent = false) : error(message), sent_(was_sent) {}

    /// Whether the command had been sent, so that the server may have carried it out.
    bool was_sent() const noexcept { return sent_; }

private:
    bool sent_;
};

/// What has come from the server is no reply of Redis, or one that is larger than options::max_reply. The connection is
/// closed for good.
///
/// Threads: a plain exception.
class protocol_error : public connection_error {
public:
    using connection_error::connection_error;
};

/// A transaction did nothing, since somebody has changed a key that WATCH watches.
///
/// Threads: a plain exception.
class watch_error : public error {
public:
    using error::error;
};

} // namespace asynchio::hiredis

#pragma GCC visibility pop
