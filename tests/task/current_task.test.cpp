// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/current_task.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

TEST_CASE("current_task: is the task that runs, also when tasks take turns", "[TASK-13]") {
    virtual_run([]() -> aio::task<> {
        const auto main = aio::current_task();
        const auto turns = [](aio::any_task_handle& self) -> aio::task<> {
            for (int i = 0; i < 5; ++i) {
                CHECK(aio::current_task() == self);
                co_await aio::yield();
                const int inline_result = co_await gives(i);
                CHECK(inline_result == i);
                CHECK(aio::current_task() == self);
            }
        };
        aio::any_task_handle a;
        aio::any_task_handle b;
        auto first = aio::create_task(turns(a));
        auto second = aio::create_task(turns(b));
        a = first;
        b = second;
        co_await first;
        CHECK(aio::current_task() == main);
        co_await second;
        CHECK(aio::current_task() == main);
        CHECK_FALSE(main.done());
    });
}

TEST_CASE("current_task: is empty in a plain call, and needs a running loop", "[TASK-13][TASK-14]") {
    CHECK_THROWS_AS(aio::current_task(), std::logic_error);
    CHECK_THROWS_AS(aio::all_tasks(), std::logic_error);
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        int calls = 0;
        loop.call_soon([&calls] { calls += aio::current_task() ? 100 : 1; });
        loop.call_later(1ms, [&calls] { calls += aio::current_task() ? 100 : 1; });
        co_await aio::sleep(2ms);
        CHECK(calls == 2);
    });
}

TEST_CASE("current_task: the handle can be kept", "[TASK-13]") {
    virtual_run([]() -> aio::task<> {
        aio::any_task_handle kept;
        auto t = aio::create_task([&kept]() -> aio::task<int> {
            kept = aio::current_task();
            CHECK(kept.cancelling() == 0);
            CHECK_FALSE(kept.done());
            co_return 1;
        });
        co_await t;
        CHECK(kept == t);
        CHECK(kept.done());
    });
}

TEST_CASE("all_tasks: has exactly the tasks that are not done, in order of creation", "[TASK-15]") {
    virtual_run([]() -> aio::task<> {
        const auto self = aio::current_task();
        CHECK(aio::all_tasks() == std::vector<aio::any_task_handle>{self});
        auto not_started = aio::create_task(ends_after(1ms));
        auto longer = aio::create_task(ends_after(2ms));
        CHECK(aio::all_tasks() == std::vector<aio::any_task_handle>{self, not_started, longer});
        co_await not_started;
        CHECK(aio::all_tasks() == std::vector<aio::any_task_handle>{self, longer});
        longer.cancel();
        CHECK(aio::all_tasks().size() == 2); // not done yet
        co_await aio::yield();
        CHECK(aio::all_tasks() == std::vector<aio::any_task_handle>{self});
    });
}

TEST_CASE("all_tasks: of a loop that does not run", "[TASK-15]") {
    const audited afterwards;
    aio::event_loop loop(aio::testing::virtual_clock());
    CHECK(aio::all_tasks(loop).empty());
    auto t = loop.create_task(gives(1));
    CHECK(aio::all_tasks(loop).size() == 1);
    loop.run_until_complete(t);
    CHECK(aio::all_tasks(loop).empty());
}

TEST_CASE("all_tasks: an unfinished task that nobody refers to is in it", "[TASK-16]") {
    virtual_run([]() -> aio::task<> {
        aio::create_task(ends_after(1ms), "unheld");
        co_await aio::yield();
        {
            const auto tasks = aio::all_tasks();
            REQUIRE(tasks.size() == 2);
            CHECK(tasks[1].name() == "unheld");
        }
        co_await aio::sleep(2ms);
        CHECK(aio::all_tasks().size() == 1);
    });
}
