// SPDX-License-Identifier: BSL-1.0

// What a task starts with is told by its first parameter, or by name.

// expect: write group.start<T>\(f, args...\)

#include <asynchio/combine/task_group.hpp>

namespace aio = asynchio;

aio::task<> program(aio::task_group& group) {
    const auto child = [](auto& status) -> aio::task<> {
        status.started(1);
        co_return;
    };
#ifdef ASYNCHIO_CORRECT
    co_await group.start<int>(child);
#else
    co_await group.start(child);
#endif
}
