// SPDX-License-Identifier: BSL-1.0

// A generator is synchronous: nobody would resume it.

// expect: a generator is synchronous: co_await needs an async_generator

#include <asynchio/core/generator.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

aio::task<int> step();

#ifdef ASYNCHIO_CORRECT
aio::async_generator<int> program() {
#else
aio::generator<int> program() {
#endif
    const int value = co_await step();
    co_yield value;
}
