// SPDX-License-Identifier: BSL-1.0
#pragma once

// The number of worker threads in the process, for audits.

#include <atomic>

#pragma GCC visibility push(default)

namespace asynchio::detail {

inline std::atomic<int> workers_alive = 0;

/// Counts the calling thread until its very end; the code that started it has added it to workers_alive. As the first
/// of its thread_local objects it is destroyed last, when its frame_pool has released what it held.
inline void count_worker_until_its_end() noexcept {
    struct counted {
        counted() = default;
        counted(const counted&) = delete;
        counted& operator=(const counted&) = delete;
        ~counted() { workers_alive.fetch_sub(1, std::memory_order_release); }
    };
    static thread_local const counted self;
    static_cast<void>(&self);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
