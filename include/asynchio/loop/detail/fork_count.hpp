// SPDX-License-Identifier: BSL-1.0
#pragma once

// A count of forks, by which loops and pools notice that they are in another process: fork(2) copies them, but neither
// their threads nor the state that the kernel keeps for them.

#include <asynchio/loop/detail/frame_pool.hpp>
#include <asynchio/loop/detail/loops_of_process.hpp>

#include <pthread.h>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The number of forks between this process and the first one, as far as they were watched. It changes in a child only,
/// before fork returns there.
inline constinit unsigned fork_count = 0;

/// From now on forks are counted, and a child finds the frame pool and the list of loops unlocked. Forks by clone(2) and vfork(2) do not
/// count, since their children must not use the library.
[[gnu::cold]] inline void watch_forks() noexcept {
    static const int registered = pthread_atfork(
        [] {
            loops_of_process.lock.lock();
            frame_memory::shared.lock();
        },
        [] {
            frame_memory::shared.unlock();
            loops_of_process.lock.unlock();
        },
        [] {
            ++fork_count;
            frame_memory::shared.unlock_in_child();
            loops_of_process.lock.unlock();
        });
    static_cast<void>(registered);
}

/// A mark of the process in which it was made, or in which it last noticed a fork.
class process_mark {
public:
    bool is_here() const noexcept { return seen_ == fork_count; }
    void renew() noexcept { seen_ = fork_count; }

private:
    unsigned seen_ = fork_count;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
