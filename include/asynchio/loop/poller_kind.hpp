// SPDX-License-Identifier: BSL-1.0
#pragma once

// The system call with which a loop waits for descriptors.

#pragma GCC visibility push(default)

namespace asynchio {

/// The system call with which a loop waits: `automatic` stands for the best one that the system has, which is epoll on
/// Linux, and poll elsewhere.
enum class poller_kind : unsigned char { automatic, epoll, poll };

} // namespace asynchio

#pragma GCC visibility pop
