// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which task runs now, and which there are.

#include <asynchio/task/task_handle.hpp>

#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The task that runs now; empty in a plain call. @throws std::logic_error without a running loop.
inline any_task_handle current_task() {
    get_running_loop();
    detail::frame* task = detail::current_task_frame();
    if (task != nullptr) ++task->references;
    return any_task_handle(task);
}

/// The tasks of `loop` that are not done, in order of creation. Cost: linear in their number.
inline std::vector<any_task_handle> all_tasks(event_loop& loop) {
    std::vector<any_task_handle> found;
    for (detail::frame* each = loop.tasks().front(); each != nullptr; each = loop.tasks().after(*each)) {
        if (each->has(detail::flag_branch)) continue;
        ++each->references;
        found.push_back(any_task_handle(each));
    }
    return found;
}

/// @throws std::logic_error without a running loop.
inline std::vector<any_task_handle> all_tasks() { return all_tasks(get_running_loop()); }

} // namespace asynchio

#pragma GCC visibility pop
