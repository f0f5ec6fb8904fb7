// SPDX-License-Identifier: BSL-1.0
#include <asynchio/sync/queue.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// covers: sync/detail/basic_queue.hpp

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Gets one item; logs "<name> <item>", or how that failed.
aio::task<> gets(aio::queue<int>& q, std::string name, trace& log) {
    try {
        const int item = co_await q.get();
        log.push_back(name + " " + std::to_string(item));
    } catch (const aio::queue_shut_down&) {
        log.push_back(name + " shut down");
    }
}

aio::task<> puts(aio::queue<int>& q, int item, trace& log) {
    try {
        co_await q.put(item);
        log.push_back("put " + std::to_string(item));
    } catch (const aio::queue_shut_down&) {
        log.push_back("put " + std::to_string(item) + " shut down");
    }
}

/// Movable only, without a default; counts itself.
class parcel {
public:
    explicit parcel(int number) : held_(std::make_unique<counted>(number)) {}
    int number() const noexcept { return held_->value; }

private:
    std::unique_ptr<counted> held_;
};

std::vector<int> drain(aio::queue<int>& q) {
    std::vector<int> items;
    while (!q.empty()) items.push_back(q.get_nowait());
    return items;
}

} // namespace

TEST_CASE("queue: is empty and unbounded at first", "[Q-2][Q-9]") {
    aio::queue<int> q;
    CHECK(q.empty());
    CHECK(!q.full());
    CHECK(q.size() == 0);
    CHECK(q.maxsize() == 0);
    for (int i = 0; i < 1000; ++i) q.put_nowait(i);
    CHECK(q.size() == 1000);
    CHECK(!q.full());
    STATIC_REQUIRE(!std::is_copy_constructible_v<aio::queue<int>>);
    STATIC_REQUIRE(!std::is_convertible_v<int, aio::queue<int>>);
}

TEST_CASE("queue: with items and with room, get and put do not yield", "[Q-1][Q-13]") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> q(3);
        const iterations count;
        for (int i = 0; i < 100'000; ++i) {
            co_await q.put(i);
            const int item = co_await q.get();
            if (item != i) FAIL("item");
        }
        for (int i = 0; i < 3; ++i) co_await q.put(i);
        CHECK(q.full());
        CHECK(q.size() == 3);
        CHECK(q.maxsize() == 3);
        CHECK(drain(q) == std::vector<int>{0, 1, 2});
        CHECK(count.passed() == 0);
    });
}

TEST_CASE("queue: get waits while it is empty", "[Q-2][Q-9]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q;
        auto a = aio::create_task(gets(q, "a", log));
        co_await aio::testing::run_until_idle();
        CHECK(!a.done());
        CHECK(q.empty());
        q.put_nowait(1);
        CHECK(q.size() == 1); // the item is taken when the getter runs
        co_await aio::yield();
        CHECK(a.done());
        CHECK(q.empty());
    });
    CHECK(log == trace{"a 1"});
}

TEST_CASE("queue: put waits while it is full", "[Q-2][Q-9]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q(1);
        co_await q.put(1);
        auto a = aio::create_task(puts(q, 2, log));
        co_await aio::testing::run_until_idle();
        CHECK(!a.done());
        CHECK(q.size() == 1);
        CHECK(q.get_nowait() == 1);
        CHECK(q.empty());
        co_await aio::yield();
        CHECK(a.done());
        CHECK(q.get_nowait() == 2);
    });
}

TEST_CASE("queue: getters and putters are woken in order, one for each put and get", "[Q-3]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q(1);
        for (const char* name : {"a", "b", "c"}) aio::create_task(gets(q, name, log));
        co_await aio::yield();
        for (int i = 0; i < 3; ++i) {
            q.put_nowait(i);
            co_await aio::yield();
        }
        CHECK(log == trace{"a 0", "b 1", "c 2"});
        log.clear();
        for (int i = 0; i < 4; ++i) aio::create_task(puts(q, i, log));
        co_await aio::testing::run_until_idle();
        std::vector<int> items;
        while (!q.empty()) {
            items.push_back(q.get_nowait());
            co_await aio::yield();
        }
        CHECK(items == std::vector<int>{0, 1, 2, 3});
    });
    CHECK(log == trace{"put 0", "put 1", "put 2", "put 3"});
}

TEST_CASE("queue: who is quicker than the woken getter takes the item; that one waits again, at the end", "[Q-4]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q;
        for (const char* name : {"a", "b"}) aio::create_task(gets(q, name, log));
        co_await aio::yield();
        q.put_nowait(1); // wakes a
        CHECK(q.get_nowait() == 1);
        co_await aio::yield();
        CHECK(log.empty());
        for (const int item : {2, 3}) {
            q.put_nowait(item);
            co_await aio::yield();
        }
    });
    CHECK(log == trace{"b 2", "a 3"});
}

TEST_CASE("queue: who is quicker than the woken putter takes the place; that one waits again, at the end", "[Q-4]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q(1);
        q.put_nowait(0);
        for (const int item : {1, 2}) aio::create_task(puts(q, item, log));
        co_await aio::yield();
        CHECK(q.get_nowait() == 0); // wakes the one with 1
        q.put_nowait(9);
        co_await aio::yield();
        CHECK(log.empty());
        std::vector<int> items;
        while (!q.empty()) {
            items.push_back(q.get_nowait());
            co_await aio::yield();
        }
        CHECK(items == std::vector<int>{9, 2, 1});
    });
}

TEST_CASE("queue: nothing there, no room", "[Q-5]") {
    aio::queue<int> q(1);
    CHECK_THROWS_AS(q.get_nowait(), aio::queue_empty);
    q.put_nowait(1);
    CHECK_THROWS_AS(q.put_nowait(2), aio::queue_full);
    CHECK(q.get_nowait() == 1);
    CHECK(q.empty());
}

TEST_CASE("queue: try_put and try_get say whether there was room or an item") {
    aio::queue<parcel> q(1);
    CHECK_FALSE(q.try_get().has_value());
    CHECK(q.try_put(parcel(1)));
    parcel mine(2);
    CHECK_FALSE(q.try_put(std::move(mine)));
    CHECK(mine.number() == 2);
    auto first = q.try_get();
    REQUIRE(first.has_value());
    CHECK(first->number() == 1);
    CHECK(q.try_put(std::move(mine)));
    q.shutdown();
    parcel late(3);
    CHECK_THROWS_AS(q.try_put(std::move(late)), aio::queue_shut_down);
    CHECK(late.number() == 3);
    CHECK(q.try_get()->number() == 2);
    CHECK_THROWS_AS(q.try_get(), aio::queue_shut_down);
}

TEST_CASE("queue: try_put wakes who waits for an item, and try_get who waits for room") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> q(1);
        const auto getting = aio::create_task(q.get());
        co_await aio::yield();
        CHECK(q.try_put(1));
        const int got = co_await getting;
        CHECK(got == 1);
        CHECK(q.try_put(2));
        const auto putting = aio::create_task(q.put(3));
        co_await aio::yield();
        CHECK(q.try_get() == 2);
        co_await putting;
        CHECK(q.try_get() == 3);
    });
}

TEST_CASE("queue: put_nowait that throws leaves the item with the caller", "[Q-5]") {
    aio::queue<parcel> q(1);
    counted::reset();
    {
        q.put_nowait(parcel(1));
        parcel mine(2);
        CHECK_THROWS_AS(q.put_nowait(std::move(mine)), aio::queue_full);
        CHECK(mine.number() == 2);
        q.shutdown();
        CHECK_THROWS_AS(q.put_nowait(std::move(mine)), aio::queue_shut_down);
        CHECK(mine.number() == 2);
        CHECK(q.get_nowait().number() == 1);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("queue: a cancelled getter loses no item", "[Q-6]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q;
        std::vector<aio::task_handle<>> all;
        for (const char* name : {"a", "b", "c", "d"}) all.push_back(aio::create_task(gets(q, name, log)));
        co_await aio::yield();
        all[0].cancel(); // while it waits
        co_await aio::yield();
        CHECK(all[0].cancelled());
        all[1].cancel(); // before the wake-up of the same iteration, which passes it over
        q.put_nowait(1);
        co_await aio::yield();
        CHECK(log == trace{"c 1"});
        q.put_nowait(2);
        all[3].cancel(); // after the wake-up
        all[3].cancel();
        co_await aio::yield();
        CHECK(all[3].cancelled());
        CHECK(q.size() == 1);
        auto e = aio::create_task(gets(q, "e", log));
        co_await e;
    });
    CHECK(log == trace{"c 1", "e 2"});
}

TEST_CASE("queue: a getter that is cancelled after its wake-up wakes the next", "[Q-6]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q;
        auto a = aio::create_task(gets(q, "a", log));
        auto b = aio::create_task(gets(q, "b", log));
        co_await aio::yield();
        q.put_nowait(1);
        a.cancel();
        co_await b;
        CHECK(a.cancelled());
    });
    CHECK(log == trace{"b 1"});
}

TEST_CASE("queue: a getter that waits again can be cancelled", "[Q-4][Q-6]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q;
        auto a = aio::create_task(gets(q, "a", log));
        co_await aio::yield();
        q.put_nowait(1);
        CHECK(q.get_nowait() == 1);
        co_await aio::yield();
        a.cancel();
        co_await aio::yield();
        CHECK(a.cancelled());
        q.put_nowait(2);
        CHECK(q.size() == 1);
    });
}

TEST_CASE("queue: a cancelled putter puts nothing, and passes its place on", "[Q-7]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q(1);
        q.put_nowait(0);
        std::vector<aio::task_handle<>> all;
        for (const int item : {1, 2, 3}) all.push_back(aio::create_task(puts(q, item, log)));
        co_await aio::yield();
        all[0].cancel(); // while it waits
        co_await aio::yield();
        CHECK(q.get_nowait() == 0);
        all[1].cancel(); // after its wake-up: the next is woken
        co_await aio::testing::run_until_idle();
        CHECK(all[0].cancelled());
        CHECK(all[1].cancelled());
        CHECK(all[2].done());
        CHECK(drain(q) == std::vector<int>{3});
    });
    CHECK(log == trace{"put 3"});
}

TEST_CASE("queue: a get and a put that come too late change nothing", "[Q-8]") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> q(1);
        int late = 0;
        try {
            co_await aio::wait_for(q.get(), 1ms);
        } catch (const aio::timeout_error&) {
            ++late;
        }
        co_await q.put(1);
        try {
            co_await aio::wait_for(q.put(2), 1ms);
        } catch (const aio::timeout_error&) {
            ++late;
        }
        CHECK(late == 2);
        const int item = co_await aio::wait_for(q.get(), 1ms);
        CHECK(item == 1);
        CHECK(q.empty());
    });
}

TEST_CASE("queue: join waits until every item was put, taken and done with", "[Q-10][Q-11]") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> q;
        {
            const iterations count;
            for (int i = 0; i < 100'000; ++i) co_await q.join();
            CHECK(count.passed() == 0);
        }
        for (int round = 0; round < 2; ++round) {
            q.put_nowait(1);
            q.put_nowait(2);
            auto joins = [&]() -> aio::task<> { co_await q.join(); };
            auto a = aio::create_task(joins());
            auto b = aio::create_task(joins());
            CHECK(drain(q).size() == 2);
            co_await aio::testing::run_until_idle();
            CHECK(!a.done());
            q.task_done();
            co_await aio::testing::run_until_idle();
            CHECK(!a.done());
            q.task_done();
            co_await a;
            CHECK(b.done());
        }
    });
}

TEST_CASE("queue: a cancelled join leaves the others", "[Q-10]") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> q;
        q.put_nowait(1);
        auto joins = [&]() -> aio::task<> { co_await q.join(); };
        auto a = aio::create_task(joins());
        auto b = aio::create_task(joins());
        co_await aio::yield();
        a.cancel();
        q.task_done();
        co_await b;
        CHECK(a.cancelled());
        q.put_nowait(2); // undone again: b was woken all the same
        auto c = aio::create_task(joins());
        co_await aio::yield();
        q.task_done();
        q.put_nowait(3);
        co_await c;
    });
}

TEST_CASE("queue: task_done too often is misuse", "[Q-12]") {
    aio::queue<int> q;
    CHECK_THROWS_AS(q.task_done(), std::invalid_argument);
    q.put_nowait(1);
    q.task_done();
    CHECK(message_of([&] { q.task_done(); }) == "task_done: called more often than items were put");
}

TEST_CASE("queue: shut down, it takes nothing more and gives what it has", "[Q-17][Q-20]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q(2);
        q.put_nowait(1);
        q.put_nowait(2);
        for (const int item : {3, 4}) aio::create_task(puts(q, item, log));
        co_await aio::yield();
        q.shutdown();
        q.shutdown();
        CHECK(q.size() == 2);
        CHECK(q.maxsize() == 2);
        CHECK(q.full());
        co_await aio::yield();
        CHECK(log == trace{"put 3 shut down", "put 4 shut down"});
        CHECK_THROWS_AS(q.put_nowait(5), aio::queue_shut_down);
        const iterations count;
        co_await puts(q, 6, log);
        co_await gets(q, "a", log);
        CHECK(q.get_nowait() == 2);
        CHECK_THROWS_AS(q.get_nowait(), aio::queue_shut_down);
        CHECK_THROWS_AS(q.put_nowait(5), aio::queue_shut_down);
        co_await gets(q, "b", log);
        CHECK(count.passed() == 0);
    });
    CHECK(log == trace{"put 3 shut down", "put 4 shut down", "put 6 shut down", "a 1", "b shut down"});
}

TEST_CASE("queue: shut down, it lets those go who wait for items", "[Q-17]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> q;
        std::vector<aio::task_handle<>> all;
        for (const char* name : {"a", "b", "c"}) all.push_back(aio::create_task(gets(q, name, log)));
        co_await aio::yield();
        q.put_nowait(1); // for a
        q.shutdown();
        all[1].cancel();
        co_await aio::yield();
        CHECK(all[1].cancelled());
    });
    CHECK(log == trace{"a 1", "c shut down"});
}

TEST_CASE("queue: shut down at once, it drops its items and counts them as done", "[Q-18][Q-19][Q-20]") {
    trace log;
    counted::reset();
    virtual_run([&]() -> aio::task<> {
        aio::queue<parcel> q;
        for (int i = 0; i < 5; ++i) q.put_nowait(parcel(i));
        const parcel taken = q.get_nowait();
        CHECK(taken.number() == 0);
        q.shutdown();
        CHECK(counted::alive == 5);
        q.shutdown(true);
        CHECK(counted::alive == 1);
        CHECK(q.empty());
        CHECK_THROWS_AS(q.get_nowait(), aio::queue_shut_down);
        auto joins = [&]() -> aio::task<> { co_await q.join(); };
        auto a = aio::create_task(joins());
        co_await aio::testing::run_until_idle();
        CHECK(!a.done()); // the item that was taken is not excused
        q.task_done();
        co_await a;
        CHECK_THROWS_AS(q.task_done(), std::invalid_argument);
        q.shutdown(true);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("queue: shut down at once, join may return, and items that were counted done are not counted twice",
          "[Q-18]") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> q;
        q.put_nowait(1);
        q.put_nowait(2);
        auto joins = [&]() -> aio::task<> { co_await q.join(); };
        auto a = aio::create_task(joins());
        co_await aio::yield();
        q.task_done(); // without a get
        q.shutdown(true);
        co_await a;
        CHECK_THROWS_AS(q.task_done(), std::invalid_argument);
    });
}

TEST_CASE("queue: shut down at once, it may end with the items that it drops", "[Q-18]") {
    virtual_run([]() -> aio::task<> {
        struct job {
            std::shared_ptr<aio::queue<job>> owner;
        };
        auto owner = std::shared_ptr<aio::queue<job>>(new aio::queue<job>(1)); // its memory goes with it
        aio::queue<job>& q = *owner;
        const std::weak_ptr<aio::queue<job>> watched = owner;
        q.put_nowait(job{std::move(owner)});
        auto puts_one = [&q]() -> aio::task<> {
            job waiting{nullptr};
            co_await q.put(aio::take(waiting));
        };
        const auto putter = aio::create_task(puts_one());
        co_await aio::yield();
        CHECK_FALSE(watched.expired());
        q.shutdown(true);
        CHECK(watched.expired());
        const auto end = co_await aio::nothrow(putter);
        CHECK(end.error());
    });
}

TEST_CASE("queue: next gives the items, and then nothing once it is shut down and drained", "[Q-17]") {
    virtual_run([]() -> aio::task<> {
        aio::queue<parcel> q;
        std::vector<int> seen;
        auto consumer = aio::create_task([&]() -> aio::task<> {
            while (auto item = co_await q.next()) seen.push_back(item->number());
        });
        for (int i = 0; i < 3; ++i) {
            co_await q.put(parcel(i));
            co_await aio::yield();
        }
        co_await q.put(parcel(3));
        q.shutdown();
        co_await consumer;
        CHECK(seen == std::vector<int>{0, 1, 2, 3});
        const auto none = co_await q.next();
        CHECK(!none);
    });
}

TEST_CASE("queue: next can be cancelled", "[Q-6]") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> q;
        auto nexts = [&]() -> aio::task<std::optional<int>> {
            auto item = co_await q.next();
            co_return item;
        };
        auto a = aio::create_task(nexts());
        auto b = aio::create_task(nexts());
        co_await aio::yield();
        q.put_nowait(1);
        a.cancel();
        const auto item = co_await b;
        CHECK(a.cancelled());
        CHECK(item == 1);
    });
}

TEST_CASE("queue: takes copies of lvalues, moves temporaries and what is taken, and makes items of other things") {
    virtual_run([]() -> aio::task<> {
        counted::reset();
        aio::queue<counted> q;
        counted named(1);
        co_await q.put(named);
        CHECK(counted::copies == 1);
        q.put_nowait(named);
        CHECK(counted::copies == 2);
        co_await q.put(std::move(named));
        co_await q.put(counted(2));
        counted other(3);
        co_await q.put(aio::take(other));
        co_await q.put(4);
        q.put_nowait(5);
        CHECK(counted::copies == 2);
        std::vector<int> values;
        while (!q.empty()) values.push_back(q.get_nowait().value);
        CHECK(values == std::vector<int>{1, 1, 1, 2, 3, 4, 5});
        aio::queue<std::string> strings;
        co_await strings.put("text");
        const std::string text = co_await strings.get();
        CHECK(text == "text");
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("queue: a braced item") {
    aio::queue<std::pair<int, std::string>> q;
    q.put_nowait({1, "one"});
    CHECK(q.get_nowait().second == "one");
}

TEST_CASE("queue: a put may be awaited elsewhere than it was written") {
    virtual_run([]() -> aio::task<> {
        aio::queue<parcel> q(2);
        auto put = q.put(parcel(1));
        CHECK(q.empty());
        co_await std::move(put);
        auto t = aio::create_task(q.put(parcel(2)));
        co_await t;
        co_await aio::gather(q.put(parcel(3)), [&]() -> aio::task<> {
            const parcel first = co_await q.get();
            CHECK(first.number() == 1);
        });
        CHECK(q.size() == 2);
    });
}

TEST_CASE("queue: what moving an item throws loses no other item, and not that one when it comes out") {
    fragile::fuse = 0;
    virtual_run([]() -> aio::task<> {
        aio::queue<fragile> q;
        for (int i = 0; i < 20; ++i) q.put_nowait(fragile(i));
        int taken = 0;
        int thrown = 0;
        while (!q.empty()) {
            fragile::fuse = 1;
            try {
                const fragile item = co_await q.get();
                CHECK(item.value == taken);
                ++taken;
            } catch (const boom&) {
                ++thrown;
                fragile::fuse = 0;
                const fragile item = q.get_nowait();
                CHECK(item.value == taken);
                ++taken;
            }
        }
        CHECK(taken == 20);
        CHECK(thrown == 20);
        fragile mine(77);
        fragile::fuse = 1;
        CHECK_THROWS_AS(q.put_nowait(std::move(mine)), boom);
        CHECK(mine.value == 77);
        CHECK(q.empty());
        fragile::fuse = 2; // into the awaiter, and from there
        CHECK(q.empty());
        bool failed = false;
        try {
            co_await q.put(std::move(mine));
        } catch (const boom&) {
            failed = true;
        }
        CHECK(failed);
        CHECK(q.empty());
        fragile::fuse = 0;
    });
    CHECK(fragile::alive == 0);
}

TEST_CASE("queue: a getter whose item throws when it is moved leaves it to the next getter") {
    fragile::fuse = 0;
    virtual_run([]() -> aio::task<> {
        aio::queue<fragile> q;
        auto taker = [&]() -> aio::task<int> {
            const fragile item = co_await q.get();
            co_return item.value;
        };
        auto a = aio::create_task(taker());
        auto b = aio::create_task(taker());
        co_await aio::yield();
        q.put_nowait(fragile(5));
        fragile::fuse = 1;
        co_await aio::testing::run_until_idle();
        CHECK(text_of(a.exception()) == "move");
        CHECK(b.result() == 5);
    });
    CHECK(fragile::alive == 0);
}

TEST_CASE("queue: a putter whose item throws when it is moved leaves its place to the next") {
    fragile::fuse = 0;
    virtual_run([]() -> aio::task<> {
        aio::queue<fragile> q(1);
        q.put_nowait(fragile(0));
        auto putter = [&](int number) -> aio::task<> {
            const fragile item(number);
            co_await q.put(item);
        };
        auto a = aio::create_task(putter(1));
        auto b = aio::create_task(putter(2));
        co_await aio::yield();
        CHECK(q.get_nowait().value == 0);
        fragile::fuse = 1;
        co_await aio::testing::run_until_idle();
        CHECK(text_of(a.exception()) == "move");
        CHECK(b.done());
        CHECK(q.get_nowait().value == 2);
    });
    CHECK(fragile::alive == 0);
}

TEST_CASE("queue: destroyed with its items, and with its loop while tasks wait") {
    counted::reset();
    {
        const audited afterwards;
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        aio::queue<parcel> outlives(1);
        auto putter = [](aio::queue<parcel>& q, int n) -> aio::task<> { co_await q.put(parcel(n)); };
        auto getter = [](aio::queue<parcel>& q) -> aio::task<> { const parcel taken = co_await q.get(); };
        loop.create_task([&]() -> aio::task<> {
            aio::queue<parcel> dies(1);
            for (int i = 0; i < 3; ++i) aio::create_task(putter(dies, i));
            aio::queue<parcel> empty;
            for (int i = 0; i < 3; ++i) aio::create_task(getter(empty));
            co_await aio::sleep(1h);
        });
        for (int i = 0; i < 3; ++i) loop.create_task(putter(outlives, i));
        aio::testing::run_until_idle(loop);
        CHECK(outlives.get_nowait().number() == 0); // wakes a putter that will not run
        loop.close();
        CHECK(counted::alive == 0);
        outlives.put_nowait(parcel(9));
        CHECK(counted::alive == 1);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("queue: reports tell whether a task waits to get, to put or to join") {
    std::ostringstream text;
    virtual_run([&]() -> aio::task<> {
        aio::queue<int> full(1);
        full.put_nowait(1);
        aio::queue<int> empty;
        trace log;
        auto a = aio::create_task(puts(full, 2, log));
        auto b = aio::create_task(gets(empty, "b", log));
        auto c = aio::create_task(full.join());
        co_await aio::yield();
        aio::debug::dump_tasks(text);
        for (const auto& each : {a, b, c}) each.cancel();
        co_await aio::yield();
    });
    CHECK(contains(text.str(), "queue, put"));
    CHECK(contains(text.str(), "queue, get"));
    CHECK(contains(text.str(), "queue, join"));
}

TEST_CASE("queue: 100,000 items through one place, and through next") {
    virtual_run([]() -> aio::task<> {
        aio::queue<int> q(1);
        auto producer = [&]() -> aio::task<> {
            for (int i = 0; i < 100'000; ++i) co_await q.put(i);
            q.shutdown();
        };
        long sum = 0;
        auto consumer = [&]() -> aio::task<> {
            while (const auto item = co_await q.next()) sum += *item;
        };
        co_await aio::gather(producer, consumer, consumer);
        CHECK(sum == 100'000L * 99'999L / 2);
    });
}
