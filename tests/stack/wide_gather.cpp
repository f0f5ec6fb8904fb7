// SPDX-License-Identifier: BSL-1.0

// A gather of 1,000,000 tasks: its results, its cancellation, and its end with its loop.

#include <asynchio/combine/gather.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/policies.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "small_stack.hpp"

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

// A million exceptions take the sanitizers more than a minute.
const int width = asynchio_tests::many(asynchio_tests::sanitized ? 300'000 : 1'000'000);

int alive = 0;

class witness {
public:
    witness() noexcept { ++alive; }
    witness(const witness&) = delete;
    witness& operator=(const witness&) = delete;
    ~witness() { --alive; }
};

aio::task<int> child(int number, bool sleeps) {
    const witness here;
    if (sleeps)
        co_await aio::sleep(std::chrono::hours(1));
    else
        co_await aio::yield();
    co_return number;
}

std::vector<aio::task<int>> make_children(bool sleep) {
    std::vector<aio::task<int>> children;
    children.reserve(static_cast<std::size_t>(width));
    for (int i = 0; i < width; ++i) children.push_back(child(i, sleep));
    return children;
}

aio::task<> results_in_order() {
    const std::vector<int> results = co_await aio::gather(make_children(false));
    require(results.size() == static_cast<std::size_t>(width), "a wrong number of results");
    for (int i = 0; i < width; ++i)
        require(results[static_cast<std::size_t>(i)] == i, "a result stands in a wrong place");
    require(alive == 0, "children outlive the gather");
}

aio::task<> gather_all() { co_await aio::gather(make_children(true)); }

aio::task<> cancelled() {
    const auto gathering = aio::create_task(gather_all());
    co_await aio::testing::run_until_idle();
    require(alive == width, "not every child has started");
    gathering.cancel();
    bool seen = false;
    try {
        co_await gathering;
    } catch (const aio::cancelled_error&) {
        seen = true;
    }
    require(seen, "the cancelled gather did not end cancelled");
    require(alive == 0, "children outlive the cancelled gather");
}

void test() {
    aio::run(results_in_order());
    aio::run(cancelled(), aio::testing::virtual_clock());

    aio::event_loop loop(aio::testing::virtual_clock());
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    loop.create_task(gather_all());
    aio::testing::run_until_idle(loop);
    require(alive == width, "not every child of the last gather has started");
    loop.close();
    require(alive == 0, "children outlive their loop");
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
