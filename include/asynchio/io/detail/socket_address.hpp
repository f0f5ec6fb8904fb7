// SPDX-License-Identifier: BSL-1.0
#pragma once

// The address that a socket has.

#include <asynchio/io/address.hpp>
#include <asynchio/io/system_calls.hpp>

#include <sys/socket.h>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Returns the address that a socket is bound to; empty if it has none.
inline address local_address_of(int socket) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (socket < 0 || calls.getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
    return address(reinterpret_cast<const sockaddr*>(&storage), size);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
