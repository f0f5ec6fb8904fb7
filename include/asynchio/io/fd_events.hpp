// SPDX-License-Identifier: BSL-1.0
#pragma once

// The events of a descriptor, or of something that behaves as one.

#pragma GCC visibility push(default)

namespace asynchio {

/// Events of a descriptor: a set of flags, which `|` and `&` combine.
///
/// Threads: a plain value.
/// See also: wait_ready, fd_watcher, byte_channel.
enum class fd_events : unsigned char {
    /// No event.
    none = 0,
    /// A read would not block: there are bytes, the end, or an error.
    readable = 1,
    /// A write would not block.
    writable = 2,
};
/// Returns the events that are in one of two sets.
constexpr fd_events operator|(fd_events a, fd_events b) noexcept {
    return static_cast<fd_events>(static_cast<unsigned char>(a) | static_cast<unsigned char>(b));
}
/// Returns the events that are in both sets.
constexpr fd_events operator&(fd_events a, fd_events b) noexcept {
    return static_cast<fd_events>(static_cast<unsigned char>(a) & static_cast<unsigned char>(b));
}

} // namespace asynchio

#pragma GCC visibility pop
