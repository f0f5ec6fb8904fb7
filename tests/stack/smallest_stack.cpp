// SPDX-License-Identifier: BSL-1.0

// A loop on a thread with a stack of 64 KiB: as many ready awaits, and as deep, as anywhere.

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/task.hpp>

#include "small_stack.hpp"

#include <cstddef>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

namespace {

aio::task<int> ready(int number) { co_return number; }

aio::task<long> many() {
    long sum = 0;
    for (int i = 0; i < 100'000; ++i) sum += co_await ready(i);
    co_await aio::sleep(0s);
    co_return sum;
}

aio::task<int> deep(int levels) {
    if (levels > 0) co_return 1 + co_await deep(levels - 1);
    co_await aio::sleep(0s);
    co_return 0;
}

/// What coroutines call needs room as well.
[[gnu::noinline]] std::size_t needs_room(int number) {
    volatile char room[8 * 1024];
    for (std::size_t i = 0; i < sizeof room; i += 512) room[i] = static_cast<char>(number);
    return std::to_string(number).size() + static_cast<std::size_t>(room[512] - room[0]);
}

aio::task<std::size_t> eager_child(int levels) {
    const std::size_t size = needs_room(levels);
    if (levels == 0) co_return size;
    co_return size + co_await eager_child(levels - 1);
}

void test() {
    asynchio_tests::require(aio::run(many()) == 4'999'950'000, "100,000 ready awaits");
    asynchio_tests::require(aio::run(deep(100'000)) == 100'000, "a chain of 100,000");
    asynchio_tests::require(aio::run(eager_child(9'999)) == 38'890, "calls that take 8 KiB, anywhere in a chain");
    auto both = []() -> aio::task<int> {
        const auto results = co_await aio::gather(deep(1'000), aio::create_task(aio::eager, deep(1'000)));
        co_return std::get<0>(results) + std::get<1>(results);
    };
    asynchio_tests::require(aio::run(both) == 2'000, "two chains");
}

} // namespace

int main() {
    // The sanitizers' own functions need more.
    return asynchio_tests::on_small_stack(&test, asynchio_tests::sanitized ? asynchio_tests::stack_size : 64 * 1024);
}
