// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/timeout.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

// covers: loop/detail/deadline.hpp

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Runs `body` in `limit`, both referenced; gives how it ended: "ok", "timeout", "cancelled", or what it threw.
template<class Limit, class Body>
aio::task<std::string> end_of(Limit& limit, Body& body) {
    try {
        co_await aio::with(limit, body);
    } catch (const aio::timeout_error&) {
        co_return "timeout";
    } catch (const aio::cancelled_error&) {
        co_return "cancelled";
    } catch (const std::exception& e) {
        co_return e.what();
    }
    co_return "ok";
}

} // namespace

TEST_CASE("timeout: a body in time is not touched and no timer stays", "[TO-1]") {
    virtual_run([]() -> aio::task<> {
        auto limit = aio::timeout(10ms);
        const int value = co_await aio::with(limit, [] { return gives_after(5ms, 3); });
        CHECK(value == 3);
        CHECK(!limit.expired());
        CHECK(aio::get_running_loop().pending_timers() == 0);
        CHECK(limit.when() == aio::clock::now() + 5ms);
    });
}

TEST_CASE("timeout: at the deadline the body is cancelled, and outside it is a timeout_error",
          "[TO-2][TO-3][TO-4][TO-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto limit = aio::timeout(10ms);
        auto body = [&]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                log.push_back("cancelled");
                CHECK(limit.expired());
                CHECK(aio::current_task().cancelling() == 1);
                throw;
            }
        };
        const auto begin = aio::clock::now();
        const std::string end = co_await end_of(limit, body);
        log.push_back(end);
        CHECK(aio::clock::now() - begin == 10ms);
        CHECK(limit.expired());
        CHECK(aio::current_task().cancelling() == 0);
    });
    CHECK(log == trace{"cancelled", "timeout"});
}

TEST_CASE("timeout: at a point in time", "[TO-2]") {
    virtual_run([]() -> aio::task<> {
        const auto when = aio::clock::now() + 7ms;
        auto limit = aio::timeout_at(when);
        auto body = [] { return ends_after(1h); };
        const std::string end = co_await end_of(limit, body);
        CHECK(end == "timeout");
        CHECK(aio::clock::now() == when);
        CHECK(limit.when() == when);
    });
}

TEST_CASE("timeout: without a deadline never expires", "[TO-6]") {
    virtual_run([]() -> aio::task<> {
        auto body = [] { return ends_after(1h); };
        auto none = aio::timeout(std::nullopt);
        CHECK(!none.when());
        std::string end = co_await end_of(none, body);
        CHECK(end == "ok");
        auto at_none = aio::timeout_at(std::nullopt);
        end = co_await end_of(at_none, body);
        CHECK(end == "ok");
        auto optional = aio::timeout(std::optional<aio::duration>());
        CHECK(!optional.when());
        end = co_await end_of(optional, body);
        CHECK(end == "ok");
        auto some = aio::timeout(std::optional<std::chrono::milliseconds>(5ms));
        end = co_await end_of(some, body);
        CHECK(end == "timeout");
    });
}

TEST_CASE("timeout: of 0, or in the past, fires at the first suspension that reaches the loop", "[TO-7]") {
    virtual_run([]() -> aio::task<> {
        for (const auto delay : {0ms, -5ms}) {
            int reached = 0;
            auto limit = aio::timeout(delay);
            auto never_waits = [&]() -> aio::task<> { reached += co_await gives(1); };
            std::string end = co_await end_of(limit, never_waits);
            CHECK(end == "ok");
            CHECK(!limit.expired());
            CHECK(reached == 1);
            auto again = aio::timeout(delay);
            auto yields = [&]() -> aio::task<> {
                ++reached;
                co_await aio::yield();
                reached = 100;
            };
            end = co_await end_of(again, yields);
            CHECK(end == "timeout");
            CHECK(reached == 2);
        }
    });
}

TEST_CASE("timeout: does not interrupt what keeps the loop busy; it comes at the next suspension", "[TO-8][time]") {
    const audited afterwards;
    aio::run([]() -> aio::task<> {
        aio::timeout limit(5ms);
        bool busy = false;
        bool went_on = false;
        auto body = [&]() -> aio::task<> {
            const auto until = std::chrono::steady_clock::now() + 10ms;
            while (std::chrono::steady_clock::now() < until) {}
            CHECK(!limit.expired());
            busy = true;
            co_await aio::sleep(1h);
            went_on = true;
        };
        const std::string end = co_await end_of(limit, body);
        CHECK(end == "timeout");
        CHECK(busy);
        CHECK(!went_on);
    });
}

TEST_CASE("timeout: nested, the outer one first: the inner lets the cancellation pass", "[TO-9]") {
    virtual_run([]() -> aio::task<> {
        auto outer = aio::timeout(5ms);
        auto inner = aio::timeout(10ms);
        auto sleeps = [] { return ends_after(1h); };
        std::string inner_end;
        auto body = [&]() -> aio::task<> {
            try {
                co_await aio::with(inner, sleeps);
            } catch (const aio::cancelled_error&) {
                inner_end = "cancelled";
                throw;
            }
        };
        const std::string end = co_await end_of(outer, body);
        CHECK(end == "timeout");
        CHECK(inner_end == "cancelled");
        CHECK(outer.expired());
        CHECK(!inner.expired());
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("timeout: nested, the inner one first: the outer stays armed", "[TO-10]") {
    virtual_run([]() -> aio::task<> {
        auto outer = aio::timeout(10ms);
        auto inner = aio::timeout(5ms);
        auto sleeps = [] { return ends_after(1h); };
        std::string inner_end;
        auto body = [&]() -> aio::task<> {
            inner_end = co_await end_of(inner, sleeps);
            CHECK(aio::current_task().cancelling() == 0);
            co_await aio::sleep(1h);
        };
        const auto begin = aio::clock::now();
        const std::string end = co_await end_of(outer, body);
        CHECK(end == "timeout");
        CHECK(inner_end == "timeout");
        CHECK(aio::clock::now() - begin == 10ms);
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("timeout: nested, both deadlines in one iteration: one cancellation, converted by the outer", "[TO-11]") {
    virtual_run([]() -> aio::task<> {
        const auto when = aio::clock::now() + 5ms;
        auto outer = aio::timeout_at(when);
        auto inner = aio::timeout_at(when);
        int delivered = 0;
        std::string inner_end;
        auto sleeps = [&]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                ++delivered;
                CHECK(aio::current_task().cancelling() == 2);
                throw;
            }
        };
        auto body = [&]() -> aio::task<> {
            try {
                co_await aio::with(inner, sleeps);
            } catch (const aio::cancelled_error&) {
                inner_end = "cancelled";
                throw;
            }
        };
        const std::string end = co_await end_of(outer, body);
        CHECK(end == "timeout");
        CHECK(inner_end == "cancelled");
        CHECK(delivered == 1);
        CHECK(outer.expired());
        CHECK(inner.expired());
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("timeout: a request of somebody else before the deadline passes unchanged", "[TO-12]") {
    virtual_run([]() -> aio::task<> {
        aio::timeout limit(10ms);
        auto sleeps = [] { return ends_after(1h); };
        std::string end;
        const auto task = aio::create_task([&]() -> aio::task<> {
            end = co_await end_of(limit, sleeps);
            CHECK(aio::current_task().cancelling() == 1);
        });
        co_await aio::sleep(5ms);
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(end == "cancelled");
        CHECK(!limit.expired());
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

TEST_CASE("timeout: a request of somebody else and the deadline together: the cancellation wins", "[TO-13]") {
    for (const bool request_first : {false, true}) {
        virtual_run([&]() -> aio::task<> {
            const auto when = aio::clock::now() + 10ms;
            auto limit = aio::timeout_at(when);
            auto sleeps = [] { return ends_after(1h); };
            std::string end;
            aio::task_handle<> task;
            if (request_first) aio::get_running_loop().call_at(when, [&] { task.cancel(); });
            task = aio::create_task([&]() -> aio::task<> {
                end = co_await end_of(limit, sleeps);
                CHECK(aio::current_task().cancelling() == 1);
            });
            co_await aio::yield();
            if (!request_first) aio::get_running_loop().call_at(when, [&] { task.cancel(); });
            co_await aio::nothrow(task);
            CHECK(end == "cancelled");
            CHECK(limit.expired());
        });
    }
}

TEST_CASE("timeout: a body that swallows the cancellation ends as it likes", "[TO-14]") {
    virtual_run([]() -> aio::task<> {
        auto limit = aio::timeout(5ms);
        const int value = co_await aio::with(limit, [] { return swallows(4); });
        CHECK(value == 4);
        CHECK(limit.expired());
        CHECK(aio::current_task().cancelling() == 0);
        co_await aio::yield();
    });
}

TEST_CASE("timeout: another exception of the body goes out as it is", "[TO-15][TO-16]") {
    virtual_run([]() -> aio::task<> {
        auto on_expiry = []() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                throw boom("on expiry");
            }
        };
        auto limit = aio::timeout(5ms);
        std::string end = co_await end_of(limit, on_expiry);
        CHECK(end == "on expiry");
        CHECK(limit.expired());
        auto before = [] { return fails_after(1ms, "before"); };
        auto other = aio::timeout(5ms);
        end = co_await end_of(other, before);
        CHECK(end == "before");
        CHECK(!other.expired());
        CHECK(aio::current_task().cancelling() == 0);
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

TEST_CASE("timeout: reschedule moves the deadline, takes it away, or makes it come at once", "[TO-17]") {
    virtual_run([]() -> aio::task<> {
        const auto begin = aio::clock::now();
        auto later = aio::timeout(5ms);
        auto moves = [&]() -> aio::task<> {
            later.reschedule(begin + 20ms);
            CHECK(later.when() == begin + 20ms);
            co_await aio::sleep(1h);
        };
        std::string end = co_await end_of(later, moves);
        CHECK(end == "timeout");
        CHECK(aio::clock::now() - begin == 20ms);
        auto never = aio::timeout(5ms);
        auto removes = [&]() -> aio::task<> {
            never.reschedule(std::nullopt);
            CHECK(!never.when());
            co_await aio::sleep(50ms);
        };
        end = co_await end_of(never, removes);
        CHECK(end == "ok");
        auto now = aio::timeout(std::nullopt);
        int steps = 0;
        auto at_once = [&]() -> aio::task<> {
            now.reschedule(aio::clock::now() - 1ms);
            for (; steps < 5; ++steps) co_await aio::yield();
        };
        end = co_await end_of(now, at_once);
        CHECK(end == "timeout");
        CHECK(steps == 0); // its call comes before the step that the first yield makes ready
    });
}

TEST_CASE("timeout: reschedule before the block, after it, or while it expires is misuse", "[TO-18]") {
    virtual_run([]() -> aio::task<> {
        aio::timeout limit(5ms);
        CHECK_THROWS_AS(limit.reschedule(std::nullopt), std::logic_error);
        auto body = [&]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                CHECK_THROWS_AS(limit.reschedule(std::nullopt), std::logic_error);
                throw;
            }
        };
        co_await end_of(limit, body);
        CHECK_THROWS_AS(limit.reschedule(std::nullopt), std::logic_error);
        aio::timeout unused(5ms);
        auto nothing = []() -> aio::task<> { co_return; };
        co_await end_of(unused, nothing);
        CHECK_THROWS_AS(unused.reschedule(std::nullopt), std::logic_error);
    });
}

TEST_CASE("timeout: entering twice, or outside of a task, is misuse", "[TO-19]") {
    virtual_run([]() -> aio::task<> {
        aio::timeout limit(5ms);
        auto nothing = []() -> aio::task<> { co_return; };
        auto nested = [&]() -> aio::task<> {
            bool thrown = false;
            try {
                co_await aio::with(limit, nothing);
            } catch (const std::logic_error&) {
                thrown = true;
            }
            CHECK(thrown);
        };
        std::string end = co_await end_of(limit, nested);
        CHECK(end == "ok");
        end = co_await end_of(limit, nothing);
        CHECK(end.find("timeout") == 0); // the message names the thing
        CHECK_THROWS_AS(aio::timeout(std::move(limit)), std::logic_error);
        bool outside = false;
        aio::get_running_loop().call_soon([&] {
            aio::timeout other(5ms);
            try {
                other.async_enter();
            } catch (const std::logic_error&) {
                outside = true;
            }
        });
        co_await aio::yield();
        CHECK(outside);
    });
}

TEST_CASE("timeout: in the cleanup of a cancelled task works by itself", "[TO-20]") {
    virtual_run([]() -> aio::task<> {
        std::string inner;
        const auto task = aio::create_task([&]() -> aio::task<> {
            co_await aio::finally(ends_after(1h), [&]() -> aio::task<> {
                aio::timeout limit(5ms);
                auto sleeps = [] { return ends_after(1h); };
                inner = co_await end_of(limit, sleeps);
                CHECK(aio::current_task().cancelling() == 1);
            });
        });
        co_await aio::sleep(1ms);
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(inner == "timeout");
        CHECK(task.cancelled());
        CHECK(task.cancelling() == 1);
    });
}

TEST_CASE("timeout: around a task_group cancels its children and is a timeout_error, no group", "[TO-21]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto limit = aio::timeout(5ms);
        auto body = [&]() -> aio::task<> {
            co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
                g.create_task(cleans_up(3ms, "a", log));
                co_await aio::sleep(1h);
            });
        };
        const auto begin = aio::clock::now();
        const std::string end = co_await end_of(limit, body);
        CHECK(end == "timeout");
        CHECK(aio::clock::now() - begin == 8ms);
        CHECK(aio::current_task().cancelling() == 0);
    });
    CHECK(log == trace{"a begins", "a cancelled", "a cleaned up"});
}

TEST_CASE("timeout: its body runs in the calling task and may have any result") {
    int value = 1;
    virtual_run([&]() -> aio::task<> {
        const auto self = aio::current_task();
        const auto unique = co_await aio::with(aio::timeout(1s), [&]() -> aio::task<std::unique_ptr<int>> {
            CHECK(aio::current_task() == self);
            co_await aio::yield();
            co_return std::make_unique<int>(3);
        });
        CHECK(*unique == 3);
        int& same = co_await aio::with(aio::timeout(1s), [&]() -> aio::task<int&> { co_return value; });
        CHECK(&same == &value);
    });
}

TEST_CASE("timeout: 100,000 blocks one after the other leave no timers", "[stress]") {
    virtual_run([]() -> aio::task<> {
        for (int i = 0; i < 100'000; ++i) co_await aio::with(aio::timeout(1h), []() -> aio::task<> { co_return; });
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

TEST_CASE("move_on_after: ends the block quietly when the time is up") {
    virtual_run([]() -> aio::task<> {
        const bool in_time = co_await aio::with(aio::move_on_after(10ms), [] { return ends_after(5ms); });
        CHECK(in_time);
        auto limit = aio::move_on_after(10ms);
        const bool late = co_await aio::with(limit, [] { return ends_after(1h); });
        CHECK(!late);
        CHECK(limit.expired());
        const std::optional<int> value =
            co_await aio::with(aio::move_on_after(10ms), [] { return gives_after(5ms, 3); });
        CHECK(value == 3);
        const std::optional<int> none = co_await aio::with(aio::move_on_after(10ms), [] { return gives_after(1h, 3); });
        CHECK(!none);
        const auto unique = co_await aio::with(aio::move_on_after(10ms), []() -> aio::task<std::unique_ptr<int>> {
            co_await aio::yield();
            co_return std::make_unique<int>(3);
        });
        CHECK(**unique == 3);
        CHECK(aio::current_task().cancelling() == 0);
        co_await aio::yield();
    });
}

TEST_CASE("move_on_after: lets exceptions and requests of somebody else pass") {
    virtual_run([]() -> aio::task<> {
        const auto failed = co_await aio::nothrow(aio::with(aio::move_on_after(10ms), [] { return fails("bad"); }));
        CHECK(text_of(failed.error()) == "bad");
        const auto task = aio::create_task(
            []() -> aio::task<> { co_await aio::with(aio::move_on_after(10ms), [] { return ends_after(1h); }); });
        co_await aio::sleep(5ms);
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
    });
}

TEST_CASE("move_on_after: a body that swallows the cancellation has ended") {
    virtual_run([]() -> aio::task<> {
        auto limit = aio::move_on_after(5ms);
        const auto value = co_await aio::with(limit, [] { return swallows(3); });
        CHECK(value == 3);
        CHECK(limit.expired());
    });
}

TEST_CASE("move_on_after: inside a timeout that expires first passes its cancellation on") {
    virtual_run([]() -> aio::task<> {
        auto outer = aio::timeout(5ms);
        auto inner = aio::move_on_after(10ms);
        auto body = [&]() -> aio::task<> { co_await aio::with(inner, [] { return ends_after(1h); }); };
        const std::string end = co_await end_of(outer, body);
        CHECK(end == "timeout");
        CHECK(!inner.expired());
    });
}
