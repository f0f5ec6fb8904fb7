// SPDX-License-Identifier: BSL-1.0
#pragma once

// The list of the loops of the process, for what looks at all of them: a debugger, a dump on a signal.

#include <asynchio/core/detail/spin_lock.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

class listed_loop;

/// The loops that exist, in the order in which they were made.
struct loop_list {
    intrusive_list<listed_loop> loops;
    spin_lock lock;
};

inline constinit loop_list loops_of_process;

/// A loop's place in the list, which it leaves at its end.
/// Cost: two locked operations in the life of a loop.
class listed_loop : public list_link {
public:
    listed_loop(const listed_loop&) = delete;
    listed_loop& operator=(const listed_loop&) = delete;

protected:
    [[gnu::cold]] listed_loop() noexcept : list_link{nullptr, nullptr} {
        const spin_lock::guard lock(loops_of_process.lock);
        loops_of_process.loops.push_back(*this);
    }
    [[gnu::cold]] ~listed_loop() {
        const spin_lock::guard lock(loops_of_process.lock);
        loops_of_process.loops.remove(*this);
    }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
