// SPDX-License-Identifier: BSL-1.0
#pragma once

// The name of a task.

#include <asynchio/task/suspension.hpp>

#include <cstdio>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The name of a task, "Task-7" or the one that it was given, while the task has that.
struct name_of_task {
    explicit name_of_task(const frame& task) noexcept {
        if (task.extra != nullptr) text = task.extra->name.view();
        if (!text.empty()) return;
        std::snprintf(numbered, sizeof numbered, "Task-%u", static_cast<unsigned>(task.id));
        text = numbered;
    }
    name_of_task(const name_of_task&) = delete;
    name_of_task& operator=(const name_of_task&) = delete;

    int length() const noexcept { return static_cast<int>(text.size()); }

    std::string_view text;
    char numbered[20];
};

inline std::string task_name(const frame& task) { return std::string(name_of_task(task).text); }

[[gnu::cold]] inline void set_task_name(frame& task, std::string_view name) {
    if (task.extra == nullptr) task.extra = new task_extra;
    task.extra->name = shared_text(name);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
