// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/run_until_idle.hpp>

// covers: policies.hpp
#include <asynchio/testing/policies.hpp>

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>

#include "support/virtual_run.hpp"

#include <chrono>
#include <stdexcept>
#include <string>

namespace aio = asynchio;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

aio::task<> yields(int times, std::string& trace, char name) {
    for (int i = 0; i < times; ++i) {
        trace += name;
        co_await aio::yield();
    }
}

} // namespace

TEST_CASE("run_until_idle: runs a loop until nothing is ready, and counts the iterations") {
    {
        aio::event_loop loop({.virtual_time = true});
        std::string trace;
        CHECK(aio::testing::run_until_idle(loop) == 0);
        loop.create_task(yields(3, trace, 'a'));
        loop.create_task(yields(2, trace, 'b'));
        CHECK(aio::testing::run_until_idle(loop) == 4); // three yields and the end
        CHECK(trace == "ababa");
        CHECK_FALSE(loop.is_running());
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("run_until_idle: lets no time pass") {
    for (const bool in_virtual_time : {true, false}) {
        aio::event_loop loop({.virtual_time = in_virtual_time});
        std::string trace;
        loop.call_later(1h, [&] { trace += "late"; });
        loop.call_later(0s, [&] { trace += "now "; });
        CHECK(aio::testing::run_until_idle(loop) == 1);
        CHECK(trace == "now ");
        CHECK(loop.pending_timers() == 1);
        if (in_virtual_time) CHECK(loop.time() == aio::time_point());
    }
}

TEST_CASE("run_until_idle: a loop that runs or is closed is refused") {
    aio::event_loop loop({.virtual_time = true});
    bool refused = false;
    loop.call_soon([&] {
        try {
            aio::testing::run_until_idle(loop);
        } catch (const std::logic_error&) {
            refused = true;
        }
    });
    aio::testing::run_until_idle(loop);
    CHECK(refused);
    loop.close();
    CHECK_THROWS_AS(aio::testing::run_until_idle(loop), std::logic_error);
}

TEST_CASE("run_until_idle: in a coroutine, lets all others run until they wait") {
    virtual_run([]() -> aio::task<> {
        std::string trace;
        const aio::future<> gate;
        aio::create_task(yields(20, trace, 'a'));
        aio::create_task([&]() -> aio::task<> {
            co_await yields(5, trace, 'b');
            co_await gate;
            trace += '!';
            co_await yields(3, trace, 'c');
        });
        co_await aio::testing::run_until_idle();
        CHECK(trace.size() == 25);
        gate.set_result();
        co_await aio::testing::run_until_idle();
        CHECK(trace.ends_with("!ccc"));
        CHECK(aio::get_running_loop().time() == aio::time_point());
    });
}

TEST_CASE("run_until_idle: in a coroutine, tasks that sleep stay asleep") {
    virtual_run([]() -> aio::task<> {
        bool woke = false;
        aio::create_task([&]() -> aio::task<> {
            co_await aio::sleep(1ns);
            woke = true;
        });
        co_await aio::testing::run_until_idle();
        CHECK_FALSE(woke);
        co_await aio::sleep(1ns);
        co_await aio::testing::run_until_idle();
        CHECK(woke);
    });
}

TEST_CASE("run_until_idle: in a coroutine, it can be cancelled") {
    virtual_run([]() -> aio::task<> {
        std::string trace;
        aio::create_task(yields(5, trace, 'a'));
        const auto handle = aio::create_task(aio::testing::run_until_idle());
        co_await aio::yield();
        handle.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(handle.cancelled());
        CHECK(trace == "aaaaa");
    });
}

TEST_CASE("policies: virtual time alone, and with a shuffled order") {
    CHECK(aio::testing::virtual_clock().virtual_time);
    CHECK_FALSE(aio::testing::virtual_clock().order_seed);
    CHECK(aio::testing::shuffled_order(7).virtual_time);
    CHECK(aio::testing::shuffled_order(7).order_seed == 7U);
}
