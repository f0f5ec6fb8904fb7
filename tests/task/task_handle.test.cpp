// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/task_handle.hpp>

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

TEST_CASE("task_handle: an empty one says so, whatever it is asked", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        const aio::task_handle<int> empty;
        CHECK_FALSE(empty);
        CHECK(empty == aio::task_handle<int>());
        CHECK_THROWS_AS(empty.done(), std::logic_error);
        CHECK_THROWS_AS(empty.cancelled(), std::logic_error);
        CHECK_THROWS_AS(empty.cancel(), std::logic_error);
        CHECK_THROWS_AS(empty.cancelling(), std::logic_error);
        CHECK_THROWS_AS(empty.uncancel(), std::logic_error);
        CHECK_THROWS_AS(empty.result(), std::logic_error);
        CHECK_THROWS_AS(empty.exception(), std::logic_error);
        CHECK_THROWS_AS(empty.name(), std::logic_error);
        CHECK_THROWS_AS(empty.set_name("x"), std::logic_error);
        CHECK_THROWS_AS(empty.add_done_callback([] {}), std::logic_error);
        CHECK_THROWS_AS(empty.remove_done_callback(1), std::logic_error);
        CHECK_THROWS_AS(co_await empty, std::logic_error);
        CHECK_THROWS_AS(co_await aio::task_handle<int>(), std::logic_error);
    });
}

TEST_CASE("task_handle: is equal by identity, and converts to any_task_handle", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        auto a = aio::create_task(gives(1));
        auto b = aio::create_task(gives(1));
        const auto copy = a;
        CHECK(copy == a);
        CHECK_FALSE(a == b);
        const aio::any_task_handle any = a;
        CHECK(any == a);
        CHECK(any.name() == a.name());
        auto moved = std::move(a);
        CHECK_FALSE(a);
        CHECK(moved == copy);
        co_await b;
        CHECK(any.done());
    });
}

TEST_CASE("task_handle: gives result and exception, as often as it is asked", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        auto valued = aio::create_task(gives(5));
        auto failed = aio::create_task(fails("failed"));
        CHECK_THROWS_AS(valued.result(), aio::invalid_state_error);
        CHECK_THROWS_AS(valued.exception(), aio::invalid_state_error);
        co_await aio::yield();
        for (int i = 0; i < 2; ++i) {
            CHECK(valued.result() == 5);
            CHECK(valued.exception() == nullptr);
            CHECK_THROWS_AS(failed.result(), boom);
            CHECK(text_of(failed.exception()) == "failed");
        }
    });
}

TEST_CASE("task_handle: its awaiter runs one iteration after the task's last step", "[TASK-6]") {
    virtual_run([]() -> aio::task<> {
        const iterations count;
        int at_end = -1;
        auto t = aio::create_task([&]() -> aio::task<> {
            co_await aio::yield();
            at_end = count.passed();
        });
        co_await t;
        CHECK(count.passed() == at_end + 1);
    });
}

TEST_CASE("task_handle: awaiting one that is done does not give way", "[TASK-7]") {
    virtual_run([]() -> aio::task<> {
        auto valued = aio::create_task(gives(1));
        auto failed = aio::create_task(fails("at once"));
        co_await aio::yield();
        const iterations count;
        const int got = co_await valued;
        CHECK(got == 1);
        std::string caught;
        try {
            co_await failed;
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "at once");
        CHECK(count.passed() == 0);
    });
}

TEST_CASE("task_handle: many tasks may await one, and resume in their order", "[TASK-6][TASK-8]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto source = aio::create_task(gives_after(1ms, 7));
        const auto waiter = [&](std::string name) -> aio::task<> {
            const int& got = co_await source;
            CHECK(&got == &source.result());
            log.push_back(name + std::to_string(got));
        };
        for (const char* name : {"a", "b", "c"}) aio::create_task(waiter(name));
        source.add_done_callback([&log] { log.push_back("callback"); });
        co_await aio::sleep(2ms);
    });
    CHECK(log == trace{"callback", "a7", "b7", "c7"});
}

TEST_CASE("task_handle: a moved handle moves the result out, and the others get invalid_state_error", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(9); });
        const auto other = t;
        const std::unique_ptr<int> got = co_await std::move(t);
        CHECK(*got == 9);
        CHECK_FALSE(t);
        CHECK(other.done());
        CHECK_THROWS_AS(other.result(), aio::invalid_state_error);
        CHECK_THROWS_AS(co_await other, aio::invalid_state_error);
        CHECK(other.exception() == nullptr);
    });
}

TEST_CASE("task_handle: moving out destroys the result once", "[TASK-8]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto make = []() -> aio::task<counted> { co_return counted(2); };
        auto t = aio::create_task(make());
        const auto other = t;
        const counted got = co_await std::move(t);
        CHECK(got.value == 2);
        CHECK(counted::copies == 0);
        const counted direct = co_await aio::create_task(make());
        CHECK(direct.value == 2);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("task_handle: a copy of the result is made where one is asked for", "[TASK-8]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<counted> { co_return counted(2); });
        const counted copy = co_await t;
        CHECK(copy.value == 2);
        CHECK(counted::copies == 1);
        CHECK(t.result().value == 2);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("task_handle: a task cannot await itself", "[TASK-10]") {
    virtual_run([]() -> aio::task<> {
        aio::task_handle<int> self;
        std::string message;
        self = aio::create_task([&]() -> aio::task<int> {
            try {
                co_await self;
            } catch (const std::logic_error& e) {
                message = e.what();
            }
            co_await aio::yield(); // and may go on
            co_return 1;
        });
        const int got = co_await self;
        CHECK(got == 1);
        CHECK_THAT(message, Catch::Matchers::Contains("cannot await on itself"));
        self = aio::task_handle<int>();
    });
}

TEST_CASE("task_handle: one of another loop cannot be awaited, unless it is done", "[TASK-11]") {
    const audited afterwards;
    aio::event_loop other(aio::testing::virtual_clock());
    auto foreign = other.create_task(gives_after(1ms, 3));
    std::string message;
    const auto awaits = [&]() -> aio::task<> {
        try {
            const int got = co_await foreign;
            message = std::to_string(got);
        } catch (const std::logic_error& e) {
            message = e.what();
        }
    };
    aio::run(awaits, aio::testing::virtual_clock());
    CHECK_THAT(message, Catch::Matchers::Contains("different loop"));
    other.run_until_complete(foreign);
    aio::run(awaits, aio::testing::virtual_clock());
    CHECK(message == "3");
}

TEST_CASE("task_handle: callbacks come through the loop, in order, with the handle", "[FUT-9][FUT-11][TASK-6]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(gives(4));
        t.add_done_callback([&](const aio::task_handle<int>& ended) {
            CHECK(ended == t);
            CHECK_FALSE(aio::current_task());
            log.push_back("typed " + std::to_string(ended.result()));
        });
        const auto removed = t.add_done_callback([&log] { log.push_back("removed"); });
        const aio::any_task_handle any = t;
        any.add_done_callback([&log](const aio::any_task_handle& ended) { log.push_back("any " + ended.name()); });
        CHECK(t.remove_done_callback(removed) == 1);
        co_await t;
        t.add_done_callback([&log] { log.push_back("late"); });
        CHECK(log == trace{"typed 4", "any Task-2"});
        co_await aio::yield();
    });
    CHECK(log == trace{"typed 4", "any Task-2", "late"});
}

TEST_CASE("task_handle: a callback keeps the result alive until it was called", "[FUT-9]") {
    int seen = 0;
    virtual_run([&seen]() -> aio::task<> {
        aio::create_task(gives(6)).add_done_callback([&seen](const aio::task_handle<int>& t) { seen = t.result(); });
        co_await aio::sleep(1ms);
    });
    CHECK(seen == 6);
}

TEST_CASE("task_handle: names stay when the loop is gone", "[TASK-17]") {
    const audited afterwards;
    aio::any_task_handle main;
    aio::task_handle<> named;
    aio::run(
        [&]() -> aio::task<> {
            main = aio::current_task();
            named = aio::create_task(ends_after(1h), "left over");
            co_return;
        },
        aio::testing::virtual_clock());
    CHECK(main.name() == "Task-1");
    CHECK(main.done());
    CHECK(named.name() == "left over");
    CHECK(named.cancelled()); // by run
    CHECK(named.cancelling() == 1);
    named.set_name("renamed");
    CHECK(named.name() == "renamed");
}

TEST_CASE("task_handle: an awaiter that is destroyed while it waits leaves the task alone", "[TASK-22]") {
    const audited afterwards;
    reports told;
    {
        aio::event_loop loop(aio::testing::virtual_clock());
        collect(told, loop);
        const auto f = loop.create_future<int>();
        auto awaited = loop.create_task([f]() -> aio::task<int> { co_return co_await f; });
        for (int i = 0; i < 5; ++i) loop.create_task([awaited]() -> aio::task<> { co_await awaited; });
        loop.run_until_complete(aio::yield());
        loop.close();
        CHECK_FALSE(awaited.done());
    }
    CHECK(told.size() == 6);
}
