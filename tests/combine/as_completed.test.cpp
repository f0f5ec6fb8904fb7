// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/as_completed.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/with.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

using handles = std::vector<aio::task_handle<int>>;

handles tasks_ending_after(std::vector<int> milliseconds) {
    handles made;
    for (const int each : milliseconds) made.push_back(aio::create_task(gives_after(1ms * each, each)));
    return made;
}

} // namespace

TEST_CASE("as_completed: gives the handles in the order in which they are done, then nothing", "[ASC-1][ASC-11]") {
    virtual_run([]() -> aio::task<> {
        const handles all = tasks_ending_after({30, 10, 20});
        auto finished = aio::as_completed(all);
        std::vector<int> order;
        while (auto next = co_await finished.next()) {
            CHECK(next->done());
            CHECK((*next == all[0] || *next == all[1] || *next == all[2]));
            order.push_back(next->result());
        }
        CHECK(order == std::vector<int>{10, 20, 30});
        const auto after = co_await finished.next();
        CHECK(!after);
    });
}

TEST_CASE("as_completed: an exception surfaces at its position and the rest comes", "[ASC-2]") {
    virtual_run([]() -> aio::task<> {
        const handles all{aio::create_task(gives_after(3ms, 3)), aio::create_task(fails_after(2ms, "bad")),
                          aio::create_task(gives_after(1ms, 1))};
        auto finished = aio::as_completed(all);
        trace seen;
        while (auto next = co_await finished.next()) {
            try {
                seen.push_back(std::to_string(next->result()));
            } catch (const boom& e) {
                seen.push_back(e.what());
            }
        }
        CHECK(seen == trace{"1", "bad", "3"});
    });
}

TEST_CASE("as_completed: gives each handle once, and of nothing nothing", "[ASC-3]") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives_after(1ms, 1));
        auto finished = aio::as_completed(handles{h, h, h});
        int count = 0;
        while (auto next = co_await finished.next()) ++count;
        CHECK(count == 1);
        auto none = aio::as_completed(handles());
        const auto nothing = co_await none.next();
        CHECK(!nothing);
    });
}

TEST_CASE("as_completed: children run however slowly the results are taken", "[ASC-4]") {
    virtual_run([]() -> aio::task<> {
        const auto begin = aio::clock::now();
        const handles all = tasks_ending_after({1, 2, 3, 4});
        auto finished = aio::as_completed(all);
        std::vector<int> order;
        while (auto next = co_await finished.next()) {
            order.push_back(next->result());
            co_await aio::sleep(10ms);
        }
        CHECK(order == std::vector<int>{1, 2, 3, 4});
        CHECK(aio::clock::now() - begin == 41ms);
    });
}

TEST_CASE("as_completed: the k-th next() gives the k-th finished, whoever awaits it", "[ASC-5]") {
    virtual_run([]() -> aio::task<> {
        const handles all = tasks_ending_after({2, 1});
        auto finished = aio::as_completed(all);
        const auto first = aio::create_task(finished.next());
        const auto& one = co_await first;
        const auto second = aio::create_task(finished.next());
        const auto& two = co_await second;
        CHECK(one->result() == 1);
        CHECK(two->result() == 2);
    });
}

TEST_CASE("as_completed: two tasks at once in next() are misuse", "[ASC-5]") {
    virtual_run([]() -> aio::task<> {
        const handles all = tasks_ending_after({2, 1});
        auto finished = aio::as_completed(all);
        const auto first = aio::create_task(finished.next());
        const auto second = aio::create_task(finished.next());
        const auto ended = co_await aio::nothrow(second);
        CHECK_THROWS_AS(ended.rethrow(), std::logic_error);
        const auto& one = co_await first;
        CHECK(one->result() == 1);
    });
}

TEST_CASE("as_completed: after the deadline it throws once for each that remains; children run on", "[ASC-6][ASC-12]") {
    virtual_run([]() -> aio::task<> {
        const handles all = tasks_ending_after({1, 50, 60});
        auto finished = aio::as_completed(all, 10ms);
        const auto begin = aio::clock::now();
        trace seen;
        for (bool more = true; more;) {
            try {
                const auto next = co_await finished.next();
                seen.push_back(next ? "value" : "nothing");
                more = next.has_value();
            } catch (const aio::timeout_error&) {
                seen.push_back("timeout");
            }
        }
        CHECK(seen == trace{"value", "timeout", "timeout", "nothing"});
        CHECK(aio::clock::now() - begin == 10ms);
        CHECK(all[1].cancelling() == 0);
        const int late = co_await all[2];
        CHECK(late == 60);
    });
}

TEST_CASE("as_completed: what was done before the deadline but not taken is given after it", "[ASC-6]") {
    virtual_run([]() -> aio::task<> {
        const handles all = tasks_ending_after({1, 2, 50});
        auto finished = aio::as_completed(all, 10ms);
        co_await aio::sleep(20ms);
        const auto first = co_await finished.next();
        CHECK(first->result() == 1);
        const auto second = co_await finished.next();
        CHECK(second->result() == 2);
        bool thrown = false;
        try {
            co_await finished.next();
        } catch (const aio::timeout_error&) {
            thrown = true;
        }
        CHECK(thrown);
        co_await all[2];
    });
}

TEST_CASE("as_completed: a deadline that is not reached has no effect and leaves no timer", "[ASC-7]") {
    virtual_run([]() -> aio::task<> {
        const handles all = tasks_ending_after({1, 2});
        auto finished = aio::as_completed(all, 1h);
        CHECK(aio::get_running_loop().pending_timers() == 1);
        int count = 0;
        while (auto next = co_await finished.next()) ++count;
        CHECK(count == 2);
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

TEST_CASE("as_completed: left early, the children run on and are not watched", "[ASC-8]") {
    virtual_run([]() -> aio::task<> {
        const handles all = tasks_ending_after({1, 20});
        {
            auto finished = aio::as_completed(all, 1h);
            const auto first = co_await finished.next();
            CHECK(first->result() == 1);
        }
        CHECK(aio::detail::access::state(all[1])->watchers.empty());
        const int late = co_await all[1];
        CHECK(late == 20);
    });
}

TEST_CASE("as_completed: left early while a result is on its way") {
    virtual_run([]() -> aio::task<> {
        const std::vector<aio::future<int>> all(3);
        {
            auto finished = aio::as_completed(all, 1h);
            all[0].set_result(1);
            all[1].cancel();
        }
        co_await aio::yield();
        CHECK(all[0].result() == 1);
        CHECK(!all[2].done());
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

TEST_CASE("as_completed: a cancelled next() loses nothing") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        auto finished = aio::as_completed(std::vector<aio::future<int>>{f});
        const auto waiting = aio::create_task(finished.next());
        co_await aio::testing::run_until_idle();
        waiting.cancel();
        co_await aio::nothrow(waiting);
        CHECK(waiting.cancelled());
        const auto late = aio::create_task(finished.next());
        co_await aio::testing::run_until_idle();
        f.set_result(5);
        co_await aio::yield();
        late.cancel(); // woken, but did not run yet
        co_await aio::nothrow(late);
        CHECK(late.cancelled());
        const auto next = co_await finished.next();
        REQUIRE(next);
        CHECK(next->result() == 5);
        const auto end = co_await finished.next();
        CHECK(!end);
    });
}

TEST_CASE("as_completed: next() goes on two iterations after a result, and does not suspend for one that is there") {
    virtual_run([]() -> aio::task<> {
        const std::vector<aio::future<int>> all(2);
        auto finished = aio::as_completed(all);
        const iterations loop;
        aio::get_running_loop().call_soon([&] {
            all[1].set_result(1);
            all[0].set_result(2);
        });
        const auto one = co_await finished.next();
        CHECK(one->result() == 1);
        CHECK(loop.passed() == 3);
        const auto two = co_await finished.next();
        CHECK(two->result() == 2);
        CHECK(loop.passed() == 3);
    });
}

TEST_CASE("as_completed: of tasks starts them in order and owns them", "[ASC-10]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto noted = [](trace& to, int number) -> aio::task<int> {
            to.push_back("begins " + std::to_string(number));
            co_await aio::sleep(1ms * number);
            co_return number;
        };
        std::vector<aio::task<int>> tasks;
        for (const int each : {3, 1, 2}) tasks.push_back(noted(log, each));
        std::vector<int> order;
        co_await aio::with(aio::as_completed(tasks), [&](auto& finished) -> aio::task<> {
            while (auto next = co_await finished.next()) order.push_back(next->result());
        });
        CHECK(order == std::vector<int>{1, 2, 3});
    });
    CHECK(log == trace{"begins 3", "begins 1", "begins 2"});
}

TEST_CASE("as_completed: of tasks, left early, cancels and awaits the rest", "[ASC-8]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        std::vector<aio::task<int>> tasks;
        tasks.push_back(cleans_up(5ms, "a", log));
        tasks.push_back(gives_after(1ms, 1));
        tasks.push_back(cleans_up(7ms, "b", log));
        const int first = co_await aio::with(aio::as_completed(tasks), [](auto& finished) -> aio::task<int> {
            const auto next = co_await finished.next();
            co_return next->result();
        });
        CHECK(first == 1);
        CHECK(aio::all_tasks().size() == 1);
    });
    CHECK(log == trace{"a begins", "b begins", "a cancelled", "b cancelled", "a cleaned up", "b cleaned up"});
}

TEST_CASE("as_completed: of tasks, whose errors nobody looked at, reports none") {
    int reported = 0;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context&) { ++reported; });
        std::vector<aio::task<int>> tasks;
        tasks.push_back(gives(1));
        tasks.push_back(fails_after(1ms, "unseen"));
        tasks.push_back(gives_after(2ms, 3));
        co_await aio::with(aio::as_completed(tasks), [](auto& finished) -> aio::task<> {
            co_await finished.next();
            co_await aio::sleep(5ms);
        });
    });
    CHECK(reported == 0);
}

TEST_CASE("as_completed: of tasks with a deadline") {
    virtual_run([]() -> aio::task<> {
        std::vector<aio::task<int>> tasks;
        tasks.push_back(gives_after(1h, 1));
        bool thrown = false;
        const auto begin = aio::clock::now();
        try {
            co_await aio::with(aio::as_completed(tasks, 5ms),
                               [](auto& finished) -> aio::task<> { co_await finished.next(); });
        } catch (const aio::timeout_error&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(aio::clock::now() - begin == 5ms);
    });
}

TEST_CASE("as_completed: of tasks with move-only results") {
    virtual_run([]() -> aio::task<> {
        const auto make = [](int value) -> aio::task<std::unique_ptr<int>> {
            co_await aio::yield();
            co_return std::make_unique<int>(value);
        };
        std::vector<aio::task<std::unique_ptr<int>>> tasks;
        tasks.push_back(make(1));
        tasks.push_back(make(2));
        int sum = 0;
        co_await aio::with(aio::as_completed(tasks), [&](auto& finished) -> aio::task<> {
            while (auto next = co_await finished.next()) {
                const std::unique_ptr<int> got = co_await *std::move(next);
                sum += *got;
            }
        });
        CHECK(sum == 3);
    });
}

TEST_CASE("as_completed: of 100,000 handles", "[stress]") {
    virtual_run([]() -> aio::task<> {
        handles all;
        for (int i = 0; i < 100'000; ++i) all.push_back(aio::create_task(gives_after(1ms * (i % 13), i)));
        auto finished = aio::as_completed(all, 1h);
        long sum = 0;
        int last = 0;
        bool ordered = true;
        while (auto next = co_await finished.next()) {
            ordered = ordered && next->result() % 13 >= last;
            last = next->result() % 13;
            sum += next->result();
        }
        CHECK(ordered);
        CHECK(sum == 99'999L * 50'000L);
    });
}
