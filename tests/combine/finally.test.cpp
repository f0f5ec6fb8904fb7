// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/finally.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <string>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

TEST_CASE("finally: runs the body in the calling task and then the cleanup", "[AGN-16]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto self = aio::current_task();
        auto body = [&]() -> aio::task<int> {
            CHECK(aio::current_task() == self);
            co_await aio::yield();
            log.push_back("body");
            co_return 3;
        };
        auto cleanup = [&]() -> aio::task<> {
            CHECK(aio::current_task() == self);
            co_await aio::sleep(1ms);
            log.push_back("cleanup");
        };
        const int result = co_await aio::finally(body, cleanup);
        CHECK(result == 3);
    });
    CHECK(log == trace{"body", "cleanup"});
}

TEST_CASE("finally: body and cleanup may be tasks, and the cleanup a plain call", "[AGN-16]") {
    virtual_run([]() -> aio::task<> {
        int cleaned = 0;
        const int result = co_await aio::finally(gives_after(1ms, 4), [&] { ++cleaned; });
        CHECK(result == 4);
        CHECK(cleaned == 1);
        const auto cleanup = [](int& count) -> aio::task<> {
            co_await aio::yield();
            ++count;
        };
        co_await aio::finally(ends_after(1ms), cleanup(cleaned));
        CHECK(cleaned == 2);
        co_await aio::finally(aio::sleep(1ms), aio::sleep(1ms));
    });
}

TEST_CASE("finally: the cleanup runs when the body throws, also before it waits", "[AGN-16]") {
    virtual_run([]() -> aio::task<> {
        int cleaned = 0;
        const auto late = co_await aio::nothrow(aio::finally(fails_after(1ms, "late"), [&] { ++cleaned; }));
        CHECK(text_of(late.error()) == "late");
        const auto at_once = co_await aio::nothrow(aio::finally(fails("at once"), [&] { ++cleaned; }));
        CHECK(text_of(at_once.error()) == "at once");
        const auto body = []() -> aio::task<> { throw boom("called"); };
        const auto called = co_await aio::nothrow(aio::finally(body, [&] { ++cleaned; }));
        CHECK(text_of(called.error()) == "called");
        CHECK(cleaned == 3);
    });
}

TEST_CASE("finally: an exception of the cleanup replaces the body's result or exception", "[AGN-14]") {
    virtual_run([]() -> aio::task<> {
        auto ended = co_await aio::nothrow(aio::finally(fails("body"), [] { throw boom("cleanup"); }));
        CHECK(text_of(ended.error()) == "cleanup");
        ended = co_await aio::nothrow(aio::finally(gives(1), fails_after(1ms, "cleanup")));
        CHECK(text_of(ended.error()) == "cleanup");
    });
}

TEST_CASE("finally: the cleanup of a cancelled body may await; a second request interrupts it", "[AGN-13][AGN-16]") {
    for (const bool twice : {false, true}) {
        trace log;
        virtual_run([&]() -> aio::task<> {
            const auto task = aio::create_task([&]() -> aio::task<> {
                co_await aio::finally(ends_after(1h), [&]() -> aio::task<> {
                    try {
                        co_await aio::sleep(10ms);
                        log.push_back("cleaned");
                    } catch (const aio::cancelled_error&) {
                        log.push_back("interrupted");
                        throw;
                    }
                });
            });
            co_await aio::sleep(1ms);
            const auto begin = aio::clock::now();
            task.cancel();
            co_await aio::testing::run_until_idle();
            if (twice) task.cancel();
            co_await aio::nothrow(task);
            CHECK(task.cancelled());
            CHECK(aio::clock::now() - begin == (twice ? 0ms : 10ms));
        });
        CHECK(log == trace{twice ? "interrupted" : "cleaned"});
    }
}

TEST_CASE("finally: cancelled before its task has begun, neither body nor cleanup runs") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto task =
            aio::create_task(aio::finally(cleans_up(1ms, "body", log), [&] { log.push_back("cleanup"); }));
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
    });
    CHECK(log.empty());
}

TEST_CASE("finally: lvalues are referenced, taken ones moved in and freed at the end") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        counted held(2);
        auto body = [held]() -> aio::task<int> { co_return held.value; };
        auto cleanup = [held]() { CHECK(held.value == 2); };
        counted::copies = counted::moves = 0;
        const int once = co_await aio::finally(body, cleanup);
        CHECK(once == 2);
        CHECK(counted::copies + counted::moves == 0);
        {
            auto waiting = aio::finally(aio::take(body), aio::take(cleanup));
            CHECK(counted::moves > 0);
            CHECK(counted::alive == 5);
            const int again = co_await std::move(waiting);
            CHECK(again == 2);
        }
        CHECK(counted::copies == 0);
        CHECK(counted::alive == 3);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("finally: awaitables that are lvalues are awaited where they are") {
    virtual_run([]() -> aio::task<> {
        fixed body, cleanup;
        const int result = co_await aio::finally(body, cleanup);
        CHECK(result == 1);
        CHECK(body.times == 1);
        CHECK(cleanup.times == 1);
    });
}

TEST_CASE("finally: move-only, reference and void results, and one whose move throws") {
    int value = 1;
    fragile::alive = 0;
    virtual_run([&]() -> aio::task<> {
        int cleaned = 0;
        const auto cleanup = [&] { ++cleaned; };
        const auto unique = co_await aio::finally(
            []() -> aio::task<std::unique_ptr<int>> {
                co_await aio::yield();
                co_return std::make_unique<int>(4);
            },
            cleanup);
        CHECK(*unique == 4);
        int& same = co_await aio::finally([&]() -> aio::task<int&> { co_return value; }, cleanup);
        CHECK(&same == &value);
        co_await aio::finally(ends_after(1ms), cleanup);
        CHECK(cleaned == 3);
        for (int fuse = 1; fuse < 8; ++fuse) {
            fragile::fuse = fuse;
            bool thrown = false;
            try {
                const fragile result =
                    co_await aio::finally([]() -> aio::task<fragile> { co_return fragile(1); }, cleanup);
                CHECK(result.value == 1);
            } catch (const boom&) {
                thrown = true;
            }
            CHECK(thrown == (fragile::fuse == 0));
            fragile::fuse = 0;
            CHECK(fragile::alive == 0);
        }
        CHECK(cleaned == 10);
    });
}

TEST_CASE("finally: 100,000 times in one task", "[stress]") {
    virtual_run([]() -> aio::task<> {
        int cleaned = 0;
        const auto cleanup = [&] { ++cleaned; };
        for (int i = 0; i < 100'000; ++i) co_await aio::finally(gives(i), cleanup);
        CHECK(cleaned == 100'000);
    });
}
