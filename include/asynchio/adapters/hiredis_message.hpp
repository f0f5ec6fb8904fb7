// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a subscription yields.

#include <string>

#pragma GCC visibility push(default)

namespace asynchio::hiredis {

/// A message that somebody has published.
///
/// Threads: a plain value.
/// See also: connection::subscribe, connection::psubscribe.
struct message {
    message() = default;

    /// The channel in which it was published.
    std::string channel;
    /// The pattern that has matched the channel; empty in a stream of subscribe().
    std::string pattern;
    /// What was published, any bytes.
    std::string payload;
};

} // namespace asynchio::hiredis

#pragma GCC visibility pop
