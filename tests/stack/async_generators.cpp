// SPDX-License-Identifier: BSL-1.0

// Asynchronous generators: 10,000,000 items that are ready, and a generator that iterates a generator, and so on,
// 1,000,000 deep: run to its end, and destroyed with its loop; or, less deep, ended by an exception, closed, dropped.

#include <asynchio/core/generator.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "small_stack.hpp"

#include <optional>
#include <stdexcept>
#include <string>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

const int depth = asynchio_tests::many(asynchio_tests::sanitized ? 200'000 : 1'000'000);
const int unwound = depth / 10; // an exception at each level takes its time
const long long items = asynchio_tests::many(asynchio_tests::sanitized ? 1'000'000 : 10'000'000);

int alive = 0;

class object {
public:
    object() noexcept { ++alive; }
    object(const object&) = delete;
    object& operator=(const object&) = delete;
    ~object() { --alive; }
};

aio::async_generator<long long> count(long long end) {
    for (long long i = 0; i < end; ++i) co_yield i;
}

aio::task<> ready_items() {
    long long sum = 0;
    auto numbers = count(items);
    while (auto item = co_await numbers.next()) sum += *item;
    require(sum == items * (items - 1) / 2, "the sum of the ready items is wrong");
}

enum class leaf { returns, yields, throws, waits };

aio::async_generator<int> descend(int left, leaf what, const aio::future<>* never = nullptr) {
    const object local;
    if (left == 0) {
        co_yield 1;
        if (what == leaf::yields) co_await aio::yield();
        if (what == leaf::throws) throw std::runtime_error("from the leaf");
        if (what == leaf::waits) co_await *never;
        co_yield 2;
        co_return;
    }
    auto inner = descend(left - 1, what, never);
    while (auto item = co_await inner.next()) co_yield *item + 1;
}

aio::task<> to_its_end(leaf what) {
    int got = 0;
    auto outer = descend(depth, what);
    while (auto item = co_await outer.next()) {
        ++got;
        require(*item == depth + got, "a wrong item came up");
    }
    require(got == 2, "not every item came up");
    outer = {};
    require(alive == 0, "something is left of a chain that ended");
}

aio::task<> by_exception() {
    auto outer = descend(unwound, leaf::throws);
    co_await outer.next();
    std::string seen;
    try {
        co_await outer.next();
    } catch (const std::runtime_error& e) {
        seen = e.what();
    }
    require(seen == "from the leaf", "'" + seen + "' came up");
}

aio::task<> closed() {
    auto outer = descend(unwound, leaf::returns);
    co_await outer.next();
    co_await outer.aclose();
    co_await aio::testing::run_until_idle(); // each one drops the next
    require(alive == 0, "closing the outermost did not close all");
}

aio::task<> dropped() {
    {
        auto outer = descend(unwound, leaf::returns);
        co_await outer.next();
    }
    co_await aio::testing::run_until_idle();
    require(alive == 0, "dropping the outermost did not close all");
}

aio::task<> ask_twice(aio::async_generator<int>& stream) {
    co_await stream.next();
    co_await stream.next();
}

void destroyed() {
    aio::async_generator<int> outlives;
    {
        std::optional<aio::event_loop> loop(std::in_place);
        loop->set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        const aio::future<> never(*loop);
        outlives = descend(depth, leaf::waits, &never);
        static_cast<void>(loop->create_task(ask_twice(outlives)));
        aio::testing::run_until_idle(*loop);
        require(alive == depth + 1, "not everything is alive while the chain is suspended");
        loop.reset();
        require(alive == 0, "destroying the loop left objects alive");
    }
    outlives = {};
    {
        std::optional<aio::event_loop> loop(std::in_place);
        outlives = descend(depth, leaf::returns);
        loop->run_until_complete(
            [](aio::async_generator<int>& stream) -> aio::task<> { co_await stream.next(); }(outlives));
        loop.reset();
        require(alive == depth + 1, "a generator that stands at a co_yield outlives its loop");
        outlives = {};
        require(alive == 0, "dropping the outermost without a loop left objects alive");
    }
}

aio::generator<int> synchronous(int left) {
    const object local;
    if (left > 0) co_yield aio::elements_of(synchronous(left - 1));
    co_yield left;
}

void nested_elements() {
    int expected = 0;
    for (const int item : synchronous(depth)) require(item == expected++, "a wrong item of nested elements");
    require(expected == depth + 1 && alive == 0, "nested elements are missing, or alive");
    {
        auto begun = synchronous(depth);
        begun.begin();
        require(alive == depth + 1, "not every body has begun");
    }
    require(alive == 0, "dropping the outermost left objects alive");
}

void test() {
    nested_elements();
    aio::run(ready_items());
    aio::run(to_its_end(leaf::returns));
    aio::run(to_its_end(leaf::yields));
    aio::run(by_exception());
    require(alive == 0, "something is left of a chain that failed");
    aio::run(closed());
    aio::run(dropped());
    destroyed();
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
