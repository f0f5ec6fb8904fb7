// SPDX-License-Identifier: BSL-1.0
#pragma once

// The task that runs now, and all tasks of a loop.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/task/task_handle.hpp>

#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// Returns the task that runs now.
/// @return a handle, which is empty in a plain call. @throws std::logic_error without a running loop.
/// Threads: the thread of the loop.
inline any_task_handle current_task() {
    get_running_loop();
    detail::frame* task = detail::current_task_frame();
    if (task != nullptr) ++task->references;
    return detail::access::make<any_task_handle>(task);
}

/// Returns the tasks of a loop that are not done, in order of creation.
/// @param loop the loop.
/// Threads: the thread of the loop. Cost: linear in the number of tasks.
inline std::vector<any_task_handle> all_tasks(event_loop& loop) {
    std::vector<any_task_handle> found;
    auto& tasks = detail::core_of(loop).tasks();
    for (detail::frame* each = tasks.front(); each != nullptr; each = tasks.after(*each)) {
        if (each->has(detail::flag_branch)) continue;
        ++each->references;
        found.push_back(detail::access::make<any_task_handle>(each));
    }
    return found;
}

/// Returns the tasks of the running loop that are not done, in order of creation.
/// @throws std::logic_error without a running loop.
inline std::vector<any_task_handle> all_tasks() { return all_tasks(get_running_loop()); }

} // namespace asynchio

#pragma GCC visibility pop
