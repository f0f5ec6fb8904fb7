// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the shared libraries of this folder give to the program: each part touches state that all must share.

#include <asynchio/combine/gather.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <chrono>
#include <cstddef>
#include <stdexcept>

namespace aio = asynchio;

/// A task that waits in every way, and then adds `n` to what its parts give.
using work = aio::task<int>(int n, aio::mutex& shared, aio::context_var<int>& variable);
/// Waits in one of 19 ways.
using waits = aio::task<>(int way);
/// The loop that runs, as the library sees it.
using running = aio::event_loop&();
/// What run_in_executor's pool is, as the library sees it.
using pool = const void*();
/// Ends cancelled, with a message.
using cancelled = aio::task<>();
/// Throws a timeout_error that the library has made.
using late = aio::task<>();

namespace {

aio::async_generator<int> count(int n) {
    for (int i = 0; i < n; ++i) {
        co_await aio::yield();
        co_yield i;
    }
}

[[maybe_unused]] aio::task<int> works(int n, aio::mutex& shared, aio::context_var<int>& variable) {
    const auto guard = co_await shared.scoped_acquire();
    co_await aio::sleep(std::chrono::milliseconds(1));
    auto child = aio::create_task(aio::sleep(std::chrono::milliseconds(1), 1));
    const int one = co_await child;
    int sum = 0;
    auto numbers = count(3);
    while (const auto each = co_await numbers.next()) sum += *each;
    auto blocking = [] { return 3; };
    const int three = co_await aio::to_thread(blocking);
    co_await aio::gather(aio::yield(), aio::yield());
    co_return n + one + sum + three + variable.get();
}

} // namespace
