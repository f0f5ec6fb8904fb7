// SPDX-License-Identifier: BSL-1.0
#pragma once

// The system call with which a loop waits for descriptors.

#pragma GCC visibility push(default)

namespace asynchio {

/// Which system call a loop waits with; `automatic` is the best one of the system.
enum class poller_kind : unsigned char { automatic, epoll, poll };

} // namespace asynchio

#pragma GCC visibility pop
