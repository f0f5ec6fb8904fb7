// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/race.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/sync/queue.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

TEST_CASE("race: the first to end wins; owned others are cancelled and waited for") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto begin = aio::clock::now();
        const auto winner =
            co_await aio::race(cleans_up(5ms, "a", log), gives_after(10ms, 7), cleans_up(9ms, "b", log));
        static_assert(std::is_same_v<decltype(winner), const std::variant<int, int, int>>);
        CHECK(winner.index() == 1);
        CHECK(std::get<1>(winner) == 7);
        CHECK(aio::clock::now() - begin == 19ms);
        CHECK(aio::all_tasks().size() == 1);
    });
    CHECK(log == trace{"a begins", "b begins", "a cancelled", "b cancelled", "a cleaned up", "b cleaned up"});
}

TEST_CASE("race: watched losers run on") {
    virtual_run([]() -> aio::task<> {
        const auto slow = aio::create_task(gives_after(20ms, 1));
        const auto winner = co_await aio::race(slow, aio::sleep(5ms));
        CHECK(winner.index() == 1);
        CHECK(slow.cancelling() == 0);
        const int late = co_await slow;
        CHECK(late == 1);
    });
}

TEST_CASE("race: an exception wins too, and those of losers are dropped") {
    int reported = 0;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context&) { ++reported; });
        std::string caught;
        try {
            co_await aio::race(gives_after(1h, 1), fails_after(1ms, "first"), fails_after(1ms, "second"));
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "first");
        const auto value = co_await aio::race(gives_after(1ms, 1), fails_after(1ms, "loser"));
        CHECK(std::get<0>(value) == 1);
    });
    CHECK(reported == 0);
}

TEST_CASE("race: a child that is cancelled on its own wins with cancelled_error") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(ends_after(1h));
        aio::get_running_loop().call_later(1ms, [h] { h.cancel(); });
        bool thrown = false;
        try {
            co_await aio::race(h, ends_after(2h));
        } catch (const aio::cancelled_error&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(aio::current_task().cancelling() == 0);
        co_await aio::yield();
    });
}

TEST_CASE("race: of a range gives the winner's index and result") {
    virtual_run([]() -> aio::task<> {
        std::vector<aio::task<int>> tasks;
        for (const int each : {30, 10, 20}) tasks.push_back(gives_after(1ms * each, each));
        const auto winner = co_await aio::race(std::move(tasks));
        CHECK(winner.first == 1);
        CHECK(winner.second == 10);
        std::vector<aio::task<>> voids;
        voids.push_back(ends_after(2ms));
        voids.push_back(ends_after(1ms));
        const auto none = co_await aio::race(std::move(voids));
        static_assert(std::is_same_v<decltype(none), const std::pair<std::size_t, std::monostate>>);
        CHECK(none.first == 1);
        CHECK_THROWS_AS(aio::race(std::vector<aio::task<int>>()), std::invalid_argument);
    });
}

TEST_CASE("race: with something done already does not suspend if it owns nothing") {
    virtual_run([]() -> aio::task<> {
        const auto done = aio::create_task(gives(3));
        const auto slow = aio::create_task(gives_after(1ms, 4));
        co_await aio::testing::run_until_idle();
        {
            const iterations loop;
            const auto winner = co_await aio::race(slow, done);
            CHECK(winner.index() == 1);
            CHECK(loop.passed() == 0);
        }
        CHECK(slow.cancelling() == 0);
        co_await slow;
    });
}

TEST_CASE("race: a done handle beats tasks, which do not run beyond their cancellation") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto done = aio::create_task(gives(3));
        co_await aio::testing::run_until_idle();
        const auto winner = co_await aio::race(cleans_up(1ms, "a", log), done);
        CHECK(winner.index() == 1);
    });
    CHECK(log.empty());
}

TEST_CASE("race: when several end in one iteration, the first of them wins") {
    virtual_run([]() -> aio::task<> {
        const auto winner = co_await aio::race(gives(1), gives(2), gives(3));
        CHECK(winner.index() == 0);
        const auto again = co_await aio::race(ends_after(0ms), gives(2), gives(3));
        CHECK(again.index() == 1);
    });
}

TEST_CASE("race: duplicates of a handle") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives_after(1ms, 5));
        const auto winner = co_await aio::race(h, h);
        CHECK(winner.index() == 0);
        CHECK(std::get<0>(winner) == 5);
    });
}

TEST_CASE("race: move-only and reference results") {
    int value = 4;
    virtual_run([&]() -> aio::task<> {
        const auto unique = []() -> aio::task<std::unique_ptr<int>> {
            co_await aio::yield();
            co_return std::make_unique<int>(5);
        };
        const auto reference = [&]() -> aio::task<int&> {
            co_await aio::yield();
            co_return value;
        };
        const auto winner = co_await aio::race(unique(), ends_after(1h));
        CHECK(*std::get<0>(winner) == 5);
        const auto other = co_await aio::race(ends_after(1h), reference());
        CHECK(&std::get<1>(other).get() == &value);
        auto h = aio::create_task(unique());
        const auto moved = co_await aio::race(std::move(h), ends_after(1h));
        CHECK(*std::get<0>(moved) == 5);
    });
}

TEST_CASE("race: cancelled, it cancels all children and ends when the owned have ended") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto watched = aio::create_task(swallows(1));
        const auto outer = aio::create_task(
            [&]() -> aio::task<> { co_await aio::race(cleans_up(8ms, "a", log), cleans_up(4ms, "b", log), watched); });
        co_await aio::sleep(1ms);
        const auto begin = aio::clock::now();
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(aio::clock::now() - begin == 8ms);
        CHECK(watched.result() == 1);
    });
    CHECK(log == trace{"a begins", "b begins", "a cancelled", "b cancelled", "b cleaned up", "a cleaned up"});
}

TEST_CASE("race: cancelled and its children swallow it, it throws all the same") {
    virtual_run([]() -> aio::task<> {
        const auto outer = aio::create_task([]() -> aio::task<> { co_await aio::race(swallows(1), swallows(2)); });
        co_await aio::testing::run_until_idle();
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
    });
}

TEST_CASE("race: a request that comes while it waits for the losers is delivered later") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto outer = aio::create_task([&]() -> aio::task<> {
            const auto winner = co_await aio::race(cleans_up(10ms, "a", log), gives_after(1ms, 6));
            log.push_back(std::to_string(std::get<1>(winner)));
            co_await aio::sleep(1h);
        });
        co_await aio::sleep(5ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
    });
    CHECK(log == trace{"a begins", "a cancelled", "a cancelled again", "6"});
}

TEST_CASE("race: what moving the winner's result throws comes out") {
    fragile::alive = 0;
    for (int fuse = 1; fuse < 6; ++fuse) {
        virtual_run([&]() -> aio::task<> {
            const auto make = []() -> aio::task<fragile> {
                co_await aio::yield();
                co_return fragile(1);
            };
            const auto h = aio::create_task(make());
            co_await aio::testing::run_until_idle();
            fragile::fuse = fuse;
            bool thrown = false;
            try {
                const auto winner = co_await aio::race(h, h);
                CHECK(std::get<0>(winner).value == 1);
            } catch (const boom&) {
                thrown = true;
            }
            CHECK(thrown == (fragile::fuse == 0));
            fragile::fuse = 0;
        });
        CHECK(fragile::alive == 0);
    }
}

TEST_CASE("race: of 100,000 tasks", "[stress]") {
    virtual_run([]() -> aio::task<> {
        std::vector<aio::task<int>> tasks;
        for (int i = 0; i < 100'000; ++i) tasks.push_back(gives_after(i == 54'321 ? 1ms : 2ms, i));
        const auto winner = co_await aio::race(std::move(tasks));
        CHECK(winner.first == 54'321);
        CHECK(winner.second == 54'321);
        CHECK(aio::all_tasks().size() == 1);
    });
}

TEST_CASE("race: once one has ended no further one is started, so that two queues lose one item") {
    bool entered = false;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> a, b;
        a.put_nowait(1);
        b.put_nowait(2);
        const auto first = co_await aio::race(a.get(), b.get());
        CHECK(first.index() == 0);
        CHECK(b.size() == 1);
        auto enters = [&]() -> aio::task<> {
            entered = true;
            co_return;
        };
        b.put_nowait(3);
        const auto second = co_await aio::race(b.get(), enters);
        CHECK(second.index() == 0);
        const auto done = aio::create_task(gives_after(0ms, 5));
        co_await done;
        const auto third = co_await aio::race(done, b.get());
        CHECK(third.index() == 0);
        CHECK(b.size() == 1);
    });
    CHECK_FALSE(entered);
}

TEST_CASE("race: what losers would have taken in the iteration of the first end stays where it was") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> a, b;
        aio::semaphore permits(0);
        for (int order = 0; order < 4; ++order) {
            const auto racing = aio::create_task([&]() -> aio::task<std::size_t> {
                auto gives = []() -> aio::task<int> {
                    co_await aio::yield();
                    co_return 9;
                };
                auto r = co_await aio::race(a.get(), b.get(), permits.acquire(), gives);
                co_return r.index();
            });
            co_await aio::yield();
            co_await aio::yield();
            if (order != 1) a.put_nowait(1);
            b.put_nowait(2);
            permits.release();
            const std::size_t winner = co_await racing;
            INFO("order " << order << ", winner " << winner);
            const std::size_t given = order != 1 ? 3 : 2;
            CHECK(a.size() + b.size() + (permits.locked() ? 0U : 1U) == given - (winner < 3 ? 1U : 0U));
            while (!a.empty()) a.get_nowait();
            while (!b.empty()) b.get_nowait();
            while (permits.try_acquire()) {}
        }
    });
}

TEST_CASE("race: a task that ends in the iteration in which an item comes leaves the item to others") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> items;
        aio::future<> go;
        const auto racing = aio::create_task([&]() -> aio::task<std::size_t> {
            auto waits = [&]() -> aio::task<> { co_await go; };
            auto r = co_await aio::race(waits, items.get());
            co_return r.index();
        });
        co_await aio::yield();
        co_await aio::yield();
        go.set_result();     // the task ends in the next iteration, before
        items.put_nowait(1); // the getter would take the item in it
        const auto winner = co_await racing;
        CHECK(winner == 0);
        CHECK(items.size() == 1);
    });
}

TEST_CASE("race: a mutex that two sides waited for is held once") {
    virtual_run([]() -> aio::task<> {
        aio::mutex one, two;
        co_await one.acquire();
        co_await two.acquire();
        const auto racing = aio::create_task([&]() -> aio::task<std::size_t> {
            auto r = co_await aio::race(one.acquire(), two.acquire());
            co_return r.index();
        });
        co_await aio::yield();
        one.release();
        two.release();
        const auto winner = co_await racing;
        CHECK(winner == 0);
        CHECK(one.locked());
        CHECK_FALSE(two.locked());
    });
}

TEST_CASE("race: a request that comes when one has ended is delivered at the next suspension; the result is not lost") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> items;
        int got = 0;
        const auto racing = aio::create_task([&]() -> aio::task<> {
            const auto first = co_await aio::race(items.get(), aio::sleep(1h));
            got = std::get<0>(first);
            co_await aio::sleep(1h);
        });
        co_await aio::yield();
        items.put_nowait(4);
        co_await aio::yield(); // the getter has taken it; the task itself runs in the next iteration
        CHECK(items.empty());
        racing.cancel("late");
        const auto ended = co_await aio::nothrow(racing);
        CHECK(got == 4);
        CHECK(contains(message_of([&] { ended.rethrow(); }), "late"));
    });
}
