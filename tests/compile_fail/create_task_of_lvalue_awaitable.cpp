// SPDX-License-Identifier: BSL-1.0

// A task keeps what it awaits; what cannot be copied is moved in.

// expect: the task keeps the awaitable, which cannot be copied: write std::move

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/sleep.hpp>

#include <chrono>
#include <utility>

namespace aio = asynchio;

void program() {
    auto pause = aio::sleep(std::chrono::milliseconds(1));
#ifdef ASYNCHIO_CORRECT
    aio::create_task(std::move(pause));
#else
    aio::create_task(pause);
#endif
}
