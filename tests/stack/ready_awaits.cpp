// SPDX-License-Identifier: BSL-1.0

// 10,000,000 awaits in one coroutine of tasks that end at once, and 1,000,000 of a result that is there.

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>

#include "small_stack.hpp"

#include <cstdint>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

constexpr std::int64_t awaits = 10'000'000;

aio::task<std::int64_t> gives(std::int64_t value) { co_return value; }

aio::task<std::int64_t> sum_of_tasks() {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < awaits; ++i) sum += co_await gives(i);
    co_return sum;
}

aio::task<std::int64_t> sum_of_futures() {
    aio::future<std::int64_t> there;
    there.set_result(3);
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < awaits / 10; ++i) sum += co_await there;
    co_return sum;
}

void test() {
    require(aio::run(sum_of_tasks()) == awaits * (awaits - 1) / 2, "tasks: a wrong sum");
    require(aio::run(sum_of_futures()) == awaits / 10 * 3, "futures: a wrong sum");
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
