// SPDX-License-Identifier: BSL-1.0
#pragma once

// How loops and pools notice that they are in another process: fork(2) copies them, but neither their threads nor what the
// kernel keeps for them.

#include <asynchio/loop/detail/frame_pool.hpp>

#include <pthread.h>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// How many forks lie between this process and the first one, as far as they were watched. Only ever changes in a child,
/// before fork returns there.
inline constinit unsigned fork_count = 0;

/// From now on forks are counted, and a child finds the frame pool unlocked. Not those of clone(2) and vfork(2), whose
/// children have nothing to do here.
[[gnu::cold]] inline void watch_forks() noexcept {
    static const int registered =
        pthread_atfork([] { frame_memory::shared.lock(); }, [] { frame_memory::shared.unlock(); },
                       [] {
                           ++fork_count;
                           frame_memory::shared.unlock_in_child();
                       });
    static_cast<void>(registered);
}

/// Whether the process is the one in which this was made, or last noticed a fork.
class process_mark {
public:
    bool is_here() const noexcept { return seen_ == fork_count; }
    void renew() noexcept { seen_ = fork_count; }

private:
    unsigned seen_ = fork_count;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
