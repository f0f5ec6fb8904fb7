// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/nothrow.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>

#include <memory>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

TEST_CASE("nothrow: gives a value as an outcome", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        auto r = co_await aio::nothrow(gives(5));
        CHECK(r);
        CHECK(r.has_value());
        CHECK_FALSE(r.cancelled());
        CHECK(r.error() == nullptr);
        CHECK(r.value() == 5);
        r.rethrow(); // nothing to throw
        auto nothing = co_await aio::nothrow(ends_after(1ms));
        CHECK(nothing.has_value());
        nothing.value();
    });
}

TEST_CASE("nothrow: gives an exception as an outcome", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        const iterations count;
        auto r = co_await aio::nothrow(fails("failed"));
        CHECK_FALSE(r);
        CHECK_FALSE(r.cancelled());
        CHECK(text_of(r.error()) == "failed");
        CHECK_THROWS_AS(r.value(), boom);
        CHECK_THROWS_AS(r.rethrow(), boom);
        CHECK(count.passed() == 0);
    });
}

TEST_CASE("nothrow: tells that what was awaited ended cancelled", "[CAN-10]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task(gives_after(1h, 1));
        aio::get_running_loop().call_later(1ms, [t] { t.cancel(); });
        auto r = co_await aio::nothrow(t);
        CHECK(r.cancelled());
        CHECK_FALSE(r.has_value());
        CHECK_THROWS_AS(r.value(), aio::cancelled_error);
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("nothrow: never swallows a request to cancel the calling task", "[CAN-4]") {
    virtual_run([]() -> aio::task<> {
        bool swallowed = false;
        auto t = aio::create_task([&swallowed]() -> aio::task<> {
            co_await aio::nothrow(aio::sleep(1h));
            swallowed = true;
        });
        co_await aio::yield();
        t.cancel();
        co_await aio::yield();
        CHECK(t.cancelled());
        CHECK_FALSE(swallowed);
    });
}

TEST_CASE("nothrow: nor one that came before it waited, nor one that came through an awaited task", "[CAN-17][CAN-6]") {
    virtual_run([]() -> aio::task<> {
        int swallowed = 0;
        auto itself = aio::create_task([&swallowed]() -> aio::task<> {
            aio::current_task().cancel();
            co_await aio::nothrow(aio::sleep(1h));
            ++swallowed;
        });
        auto inner = aio::create_task(gives_after(1h, 1));
        auto outer = aio::create_task([&swallowed, inner]() -> aio::task<> {
            co_await aio::nothrow(inner);
            ++swallowed;
        });
        co_await aio::yield();
        outer.cancel();
        co_await aio::sleep(1ms);
        CHECK(itself.cancelled());
        CHECK(outer.cancelled());
        CHECK(swallowed == 0);
    });
}

TEST_CASE("nothrow: a request that was dealt with before does not count", "[CAN-12]") {
    virtual_run([]() -> aio::task<> {
        auto victim = aio::create_task(gives_after(1h, 1));
        auto t = aio::create_task([victim]() -> aio::task<bool> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {}
            auto r = co_await aio::nothrow(victim); // cancelling() is 1 all the time
            co_return r.cancelled();
        });
        co_await aio::yield();
        t.cancel();
        co_await aio::yield();
        victim.cancel();
        const bool seen = co_await t;
        CHECK(seen);
    });
}

TEST_CASE("nothrow: works for what cannot be copied, and for references", "[TASK-8]") {
    int target = 0;
    virtual_run([&target]() -> aio::task<> {
        const auto make = []() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
        auto r = co_await aio::nothrow(make());
        const std::unique_ptr<int> got = std::move(r).value();
        CHECK(*got == 3);
        const auto refer = [&target]() -> aio::task<int&> { co_return target; };
        auto reference = co_await aio::nothrow(refer());
        CHECK(&reference.value() == &target);
    });
}

TEST_CASE("nothrow: of a handle copies the result, and counts as looking at it", "[FUT-22]") {
    counted::reset();
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        {
            auto t = aio::create_task([]() -> aio::task<counted> { co_return counted(2); });
            const auto r = co_await aio::nothrow(t);
            CHECK(r.value().value == 2);
            CHECK(t.result().value == 2);
            auto failed = aio::create_task(fails("seen"));
            const auto error = co_await aio::nothrow(failed);
            CHECK(error.error() != nullptr);
        }
        CHECK(counted::alive == 0);
    });
    CHECK(told.empty());
}

TEST_CASE("nothrow: an awaitable lvalue is referenced", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        auto nap = aio::sleep(1ms, 4);
        auto r = co_await aio::nothrow(nap);
        CHECK(r.value() == 4);
    });
}

TEST_CASE("nothrow: 100,000 times", "[TASK-3]") {
    virtual_run([]() -> aio::task<> {
        long sum = 0;
        for (int i = 0; i < 100'000; ++i) {
            auto r = co_await aio::nothrow(gives(i));
            sum += r.value();
        }
        CHECK(sum == 4999950000L);
    });
}
