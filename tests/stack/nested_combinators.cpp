// SPDX-License-Identifier: BSL-1.0

// Combinators nested 30,000 deep (5,000 with a sanitizer), of every kind: cancelled from outside, left over at the end of a
// run, and destroyed with their loop. None takes stack, and none takes quadratic time: at this depth that would be a minute.

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/policies.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "small_stack.hpp"

#include <chrono>
#include <string>

namespace aio = asynchio;
using asynchio_tests::require;
using namespace std::chrono_literals;

namespace {

const int depth = asynchio_tests::many(asynchio_tests::sanitized ? 5'000 : 30'000);
int reached = 0; // leaves that were entered
int left = 0;    // and left

struct leaf {
    leaf() { ++reached; }
    leaf(const leaf&) = delete;
    leaf& operator=(const leaf&) = delete;
    ~leaf() { ++left; }
};

aio::task<> bottom() {
    const leaf here;
    co_await aio::sleep(1h);
}

aio::task<> gathers(int n) {
    if (n == 0) co_return co_await bottom();
    co_await aio::gather(gathers(n - 1));
}
aio::task<> races(int n) {
    if (n == 0) co_return co_await bottom();
    co_await aio::race(races(n - 1), aio::sleep(2h));
}
aio::task<> shields(int n) {
    if (n == 0) co_return co_await bottom();
    co_await aio::shield(aio::create_task(shields(n - 1)));
}
aio::task<> limits(int n) {
    if (n == 0) co_return co_await bottom();
    co_await aio::wait_for(limits(n - 1), 3h);
}
aio::task<> groups(int n) {
    if (n == 0) co_return co_await bottom();
    auto body = [n](aio::task_group& g) -> aio::task<> {
        g.create_task(groups(n - 1));
        co_return;
    };
    co_await aio::with(aio::task_group(), body);
}
aio::task<> handles(int n) {
    if (n == 0) co_return co_await bottom();
    co_await aio::create_task(handles(n - 1));
}
/// Handles inside gathers: chains and forks take turns.
aio::task<> mixed(int n) {
    if (n == 0) co_return co_await bottom();
    const auto below = aio::create_task(n % 2 == 0 ? mixed(n - 1) : handles(n - 1));
    co_await aio::gather(below, aio::sleep(2h));
}

void check(const std::string& what) {
    require(reached == 1, what + ": the leaf was entered " + std::to_string(reached) + " times");
    require(left == 1, what + ": the leaf was left " + std::to_string(left) + " times");
    reached = left = 0;
}

void try_out(aio::task<> (*nested)(int), const std::string& name, bool passes_on = true) {
    if (passes_on) {
        aio::run(
            [nested]() -> aio::task<> {
                const auto all = aio::create_task(nested(depth));
                co_await aio::testing::run_until_idle();
                require(all.cancel(), "it was done before it was cancelled");
                co_await aio::nothrow(all);
                require(all.cancelled(), "it did not end cancelled");
            },
            aio::testing::virtual_clock());
        check(name + ", cancelled");
    }
    aio::run(
        [nested]() -> aio::task<> {
            aio::create_task(nested(depth));
            co_await aio::testing::run_until_idle();
        },
        aio::testing::virtual_clock());
    check(name + ", left over");
    {
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        loop.create_task(nested(depth));
        loop.call_later(1ms, [&loop] { loop.stop(); });
        loop.run_forever();
    }
    check(name + ", destroyed with its loop");
}

void test() {
    try_out(&gathers, "gather");
    try_out(&races, "race");
    try_out(&shields, "shield", false);
    try_out(&limits, "wait_for");
    try_out(&groups, "task_group");
    try_out(&handles, "handles");
    try_out(&mixed, "gather of handles");
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
