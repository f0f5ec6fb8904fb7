// SPDX-License-Identifier: BSL-1.0
#include <asynchio/task/detail/leftovers.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/runner.hpp>

#include <string>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> fails_in_cleanup(const char* what, int yields) {
    try {
        co_await aio::sleep(1h);
    } catch (const aio::cancelled_error&) {}
    for (; yields > 0; --yields) co_await aio::yield();
    throw boom(what);
}

} // namespace

TEST_CASE("leftovers: failures are told in order of creation, whatever the order of their ends, once each") {
    reports told;
    virtual_run([&]() -> aio::task<> {
        collect(told);
        aio::create_task(fails_in_cleanup("first", 5));
        const auto held = aio::create_task(fails_in_cleanup("second", 1));
        aio::create_task(fails_in_cleanup("third", 3));
        co_await aio::yield();
    });
    REQUIRE(told.size() == 3);
    CHECK(told[0].error == "first");
    CHECK(told[1].error == "second");
    CHECK(told[2].error == "third");
    for (const report& each : told) CHECK(each.message == "unhandled exception during asyncio.run() shutdown");
}

TEST_CASE("leftovers: a handle that is held outside can be asked afterwards") {
    aio::task_handle<> held;
    reports told;
    {
        const audited afterwards;
        aio::run([&]() -> aio::task<> {
            collect(told);
            held = aio::create_task(fails_in_cleanup("kept", 2));
            co_await aio::yield();
        });
        CHECK(held.done());
        CHECK(text_of(held.exception()) == "kept");
        held = {};
    }
    CHECK(told.size() == 1);
}

TEST_CASE("leftovers: a child of gather that is left over is asked once more and freed with it") {
    virtual_run([]() -> aio::task<> {
        aio::create_task([]() -> aio::task<> { co_await aio::gather(ends_after(1h), ends_after(2h), aio::sleep(3h)); });
        co_await aio::yield();
        co_await aio::yield();
    });
}

TEST_CASE("leftovers: each task passes a request on once; it counts how often it was asked") {
    int count = 0;
    virtual_run([&]() -> aio::task<> {
        const auto below = aio::create_task([&]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                count = aio::current_task().cancelling();
                throw;
            }
        });
        aio::create_task([below]() -> aio::task<> { co_await below; });
        co_await aio::yield();
        co_await aio::yield();
    });
    CHECK(count == 2);
}

TEST_CASE("leftovers: a task that was made meanwhile is not waited for, and a stop is ignored") {
    trace log;
    reports told;
    {
        aio::runner runner(aio::testing::virtual_clock());
        runner.run([&]() -> aio::task<> {
            collect(told);
            aio::create_task([&]() -> aio::task<> {
                try {
                    co_await aio::sleep(1h);
                } catch (const aio::cancelled_error&) {
                    log.push_back("cancelled");
                }
                aio::create_task(ends_after(1h));
                aio::get_running_loop().stop();
                co_await aio::sleep(1ms);
                log.push_back("cleaned up");
            });
            co_await aio::yield();
        });
        runner.close();
    }
    CHECK(log == trace{"cancelled", "cleaned up"});
    REQUIRE(told.size() == 1);
    CHECK(told[0].message == "Task was destroyed but it is pending!");
}

TEST_CASE("leftovers: what was called soon in the last iterations still runs, as many of them as asyncio makes") {
    int calls = 0;
    virtual_run([&]() -> aio::task<> {
        aio::create_task([&]() -> aio::task<> {
            struct again {
                int& count;
                void operator()() const {
                    ++count;
                    aio::get_running_loop().call_soon(*this);
                }
            };
            aio::get_running_loop().call_soon(again{calls});
            co_return;
        });
        co_return;
    });
    CHECK(calls == 4); // two for closing generators, two for the pool
}
