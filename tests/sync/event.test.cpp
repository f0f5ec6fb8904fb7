// SPDX-License-Identifier: BSL-1.0
#include <asynchio/sync/event.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> waits(aio::event& e, std::string name, trace& log) {
    co_await e.wait();
    log.push_back(name);
}

} // namespace

TEST_CASE("event: is not set at first") {
    aio::event e;
    CHECK(!e.is_set());
    e.set();
    CHECK(e.is_set());
    e.set();
    CHECK(e.is_set());
    e.clear();
    e.clear();
    CHECK(!e.is_set());
}

TEST_CASE("event: waiting for one that is set does not yield", "[EVT-1]") {
    virtual_run([]() -> aio::task<> {
        aio::event e;
        e.set();
        const iterations count;
        for (int i = 0; i < 100'000; ++i) co_await e.wait();
        CHECK(count.passed() == 0);
        CHECK(e.is_set());
    });
}

TEST_CASE("event: set wakes all who wait, in order, in the next iteration", "[EVT-2]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::event e;
        for (const char* name : {"a", "b", "c"}) aio::create_task(waits(e, name, log));
        co_await aio::testing::run_until_idle();
        CHECK(log.empty());
        e.set();
        log.push_back("set");
        co_await aio::yield();
        log.push_back("later");
    });
    CHECK(log == trace{"set", "a", "b", "c", "later"});
}

TEST_CASE("event: all who waited go on, also if it is cleared at once", "[EVT-3]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::event e;
        for (const char* name : {"a", "b"}) aio::create_task(waits(e, name, log));
        co_await aio::yield();
        e.set();
        e.clear();
        auto late = aio::create_task(waits(e, "late", log));
        co_await aio::testing::run_until_idle();
        CHECK(log == trace{"a", "b"});
        CHECK(!e.is_set());
        e.set();
        co_await late;
    });
    CHECK(log == trace{"a", "b", "late"});
}

TEST_CASE("event: setting it again does nothing", "[EVT-4]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::event e;
        auto a = aio::create_task(waits(e, "a", log));
        co_await aio::yield();
        e.set();
        e.set();
        co_await a;
        const iterations count;
        co_await e.wait();
        CHECK(count.passed() == 0);
    });
    CHECK(log == trace{"a"});
}

TEST_CASE("event: after clear, waiting waits again", "[EVT-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::event e;
        e.set();
        co_await e.wait();
        e.clear();
        auto a = aio::create_task(waits(e, "a", log));
        co_await aio::testing::run_until_idle();
        CHECK(!a.done());
        e.set();
        co_await a;
    });
}

TEST_CASE("event: a cancelled waiter leaves, and the others keep their order", "[EVT-6]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::event e;
        std::vector<aio::task_handle<>> all;
        for (const char* name : {"a", "b", "c", "d"}) all.push_back(aio::create_task(waits(e, name, log)));
        co_await aio::yield();
        all[1].cancel();
        co_await aio::yield();
        CHECK(all[1].cancelled());
        all[0].cancel(); // in the iteration of the wake-up: before it
        e.set();
        all[2].cancel(); // and after it
        all[2].cancel();
        co_await aio::testing::run_until_idle();
        CHECK(all[0].cancelled());
        CHECK(all[2].cancelled());
        CHECK(all[2].cancelling() == 2);
    });
    CHECK(log == trace{"d"});
}

TEST_CASE("event: a wait in time, and one too late", "[EVT-6]") {
    virtual_run([]() -> aio::task<> {
        aio::event e;
        aio::get_running_loop().call_later(5ms, [&] { e.set(); });
        co_await aio::wait_for(e.wait(), 10ms);
        e.clear();
        bool late = false;
        try {
            co_await aio::wait_for(e.wait(), 10ms);
        } catch (const aio::timeout_error&) {
            late = true;
        }
        CHECK(late);
        e.set();
    });
}

TEST_CASE("event: several waits of one task, in place") {
    virtual_run([]() -> aio::task<> {
        aio::event a;
        aio::event b;
        aio::get_running_loop().call_later(1ms, [&] { a.set(); });
        aio::get_running_loop().call_later(2ms, [&] { b.set(); });
        co_await aio::gather(a.wait(), b.wait(), a.wait());
        CHECK(a.is_set());
        CHECK(b.is_set());
    });
}

TEST_CASE("event: may end as soon as it is set") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto e = std::make_unique<aio::event>();
        for (const char* name : {"a", "b"}) aio::create_task(waits(*e, name, log));
        co_await aio::yield();
        e->set();
        e.reset();
        co_await aio::testing::run_until_idle();
    });
    CHECK(log == trace{"a", "b"});
}

TEST_CASE("event: outlives a loop that is closed while tasks wait") {
    aio::event e;
    trace log;
    {
        const audited afterwards;
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        loop.create_task(waits(e, "a", log));
        loop.create_task(waits(e, "b", log));
        aio::testing::run_until_idle(loop);
    }
    e.set();
    virtual_run(waits(e, "c", log));
    CHECK(log == trace{"c"});
}

TEST_CASE("event: 100,000 waits that wait") {
    virtual_run([]() -> aio::task<> {
        aio::event e;
        int passed = 0;
        auto waiter = aio::create_task([&]() -> aio::task<> {
            for (; passed < 100'000; ++passed) {
                co_await e.wait();
                e.clear();
            }
        });
        while (!waiter.done()) {
            e.set();
            co_await aio::yield();
        }
        CHECK(passed == 100'000);
    });
}
