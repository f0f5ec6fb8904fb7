// SPDX-License-Identifier: BSL-1.0
#include <asynchio/sync/condition.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Waits once, and tells how it ended and whether the mutex was locked then.
aio::task<> waits(aio::condition& c, std::string name, trace& log) {
    co_await c.acquire();
    try {
        co_await c.wait();
        log.push_back(name + (c.locked() ? "" : " unlocked"));
    } catch (const aio::cancelled_error&) {
        log.push_back(name + " cancelled" + (c.locked() ? "" : " unlocked"));
        c.release();
        throw;
    }
    c.release();
}

aio::task<> notifies(aio::condition& c, std::size_t n) {
    co_await c.acquire();
    c.notify(n);
    c.release();
}

} // namespace

TEST_CASE("condition: has the mutex's members") {
    virtual_run([]() -> aio::task<> {
        aio::condition c;
        CHECK(!c.locked());
        co_await c.acquire();
        CHECK(c.locked());
        CHECK(!c.try_acquire());
        c.release();
        CHECK(c.try_acquire());
        c.release();
        {
            const auto guard = co_await c.scoped_acquire();
            CHECK(c.locked());
        }
        auto body = [&]() -> aio::task<bool> { co_return c.locked(); };
        const bool inside = co_await aio::with(c, body);
        CHECK(inside);
        CHECK(!c.locked());
        CHECK_THROWS_AS(c.release(), std::logic_error);
    });
}

TEST_CASE("condition: without the mutex, waiting and notifying are misuse", "[CND-1]") {
    virtual_run([]() -> aio::task<> {
        aio::condition c;
        CHECK(message_of([&] { c.notify(); }) == "notify: the mutex of the condition is not locked");
        CHECK(message_of([&] { c.notify_all(); }) == "notify_all: the mutex of the condition is not locked");
        std::string waited;
        try {
            co_await c.wait();
        } catch (const std::logic_error& e) {
            waited = e.what();
        }
        CHECK(waited == "wait: the mutex of the condition is not locked");
        waited.clear();
        try {
            co_await c.wait_for([] { return false; });
        } catch (const std::logic_error& e) {
            waited = e.what();
        }
        CHECK(waited == "wait: the mutex of the condition is not locked");
        const auto held = co_await c.wait_for([] { return true; });
        CHECK(held); // it does not wait, and so needs no mutex
    });
}

TEST_CASE("condition: wait releases, waits, and acquires again", "[CND-2]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::condition c;
        auto a = aio::create_task(waits(c, "a", log));
        co_await aio::testing::run_until_idle();
        CHECK(!c.locked());
        co_await notifies(c, 1);
        co_await a;
        CHECK(!c.locked());
    });
    CHECK(log == trace{"a"});
}

TEST_CASE("condition: notify wakes so many in order, notify_all all, and neither needs anybody", "[CND-3]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::condition c;
        co_await notifies(c, 5);
        for (const char* name : {"a", "b", "c", "d", "e"}) aio::create_task(waits(c, name, log));
        co_await aio::testing::run_until_idle();
        co_await notifies(c, 0);
        co_await aio::testing::run_until_idle();
        CHECK(log.empty());
        co_await notifies(c, 1);
        co_await aio::testing::run_until_idle();
        CHECK(log == trace{"a"});
        co_await notifies(c, 2);
        co_await aio::testing::run_until_idle();
        CHECK(log == trace{"a", "b", "c"});
        {
            const auto guard = co_await c.scoped_acquire();
            c.notify_all();
            c.notify_all();
        }
        co_await aio::testing::run_until_idle();
    });
    CHECK(log == trace{"a", "b", "c", "d", "e"});
}

TEST_CASE("condition: who was notified goes on when the notifier has released, one after the other", "[CND-4]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::condition c;
        auto slow = [&](std::string name) -> aio::task<> {
            const auto guard = co_await c.scoped_acquire();
            co_await c.wait();
            log.push_back(name + " has it");
            co_await aio::sleep(1ms);
            log.push_back(name + " leaves");
        };
        auto a = aio::create_task(slow("a"));
        auto b = aio::create_task(slow("b"));
        co_await aio::testing::run_until_idle();
        {
            const auto guard = co_await c.scoped_acquire();
            c.notify_all();
            co_await aio::sleep(5ms);
            log.push_back("notifier leaves");
        }
        co_await a;
        co_await b;
    });
    CHECK(log == trace{"notifier leaves", "a has it", "a leaves", "b has it", "b leaves"});
}

TEST_CASE("condition: a notification is not kept for later", "[CND-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::condition c;
        co_await notifies(c, 1);
        auto a = aio::create_task(waits(c, "a", log));
        co_await aio::testing::run_until_idle();
        CHECK(!a.done());
        co_await notifies(c, 1);
        co_await a;
    });
}

TEST_CASE("condition: cancelled, wait locks first, however long that takes and whatever comes", "[CND-6]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::condition c;
        auto a = aio::create_task(waits(c, "a", log));
        co_await aio::testing::run_until_idle();
        a.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(a.cancelled());
        CHECK(log == trace{"a cancelled"});

        auto b = aio::create_task(waits(c, "b", log));
        co_await aio::testing::run_until_idle();
        co_await c.acquire();
        for (int i = 0; i < 5; ++i) {
            b.cancel();
            co_await aio::testing::run_until_idle();
            CHECK(!b.done());
        }
        c.release();
        co_await aio::testing::run_until_idle();
        CHECK(b.cancelled());
        CHECK(!c.locked());
    });
    CHECK(log == trace{"a cancelled", "b cancelled"});
}

TEST_CASE("condition: cancelled while it locks again, wait locks and then throws", "[CND-7]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::condition c;
        auto a = aio::create_task(waits(c, "a", log));
        co_await aio::testing::run_until_idle();
        co_await c.acquire();
        c.notify();
        co_await aio::testing::run_until_idle(); // it waits for the mutex
        a.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(!a.done());
        c.release();
        co_await aio::testing::run_until_idle();
        CHECK(a.cancelled());
    });
    CHECK(log == trace{"a cancelled"});
}

TEST_CASE("condition: the notification of who is cancelled passes to the next", "[CND-8]") {
    for (const bool after_wake_up : {false, true}) {
        trace log;
        virtual_run([&]() -> aio::task<> {
            aio::condition c;
            auto a = aio::create_task(waits(c, "a", log));
            auto b = aio::create_task(waits(c, "b", log));
            co_await aio::testing::run_until_idle();
            co_await c.acquire();
            if (!after_wake_up) a.cancel();
            c.notify();
            if (after_wake_up) a.cancel();
            c.release();
            co_await aio::testing::run_until_idle();
            CHECK(a.cancelled());
            CHECK(b.done());
        });
        CHECK(log == trace{"a cancelled", "b"});
    }
}

TEST_CASE("condition: wait_for looks again at each wake-up, and gives what the predicate gave", "[CND-9]") {
    virtual_run([]() -> aio::task<> {
        aio::condition c;
        int value = 0;
        int asked = 0;
        auto predicate = [&] {
            ++asked;
            return value >= 3 ? value : 0;
        };
        auto a = aio::create_task([&]() -> aio::task<int> {
            const auto guard = co_await c.scoped_acquire();
            const int found = co_await c.wait_for(predicate);
            co_return found;
        });
        for (int i = 0; i < 3; ++i) {
            co_await aio::testing::run_until_idle();
            CHECK(!a.done());
            const auto guard = co_await c.scoped_acquire();
            ++value;
            c.notify();
        }
        const int found = co_await a;
        CHECK(found == 3);
        CHECK(asked == 4);
        const auto guard = co_await c.scoped_acquire();
        const iterations count;
        const int at_once = co_await c.wait_for([] { return 7; });
        CHECK(at_once == 7);
        CHECK(count.passed() == 0);
    });
}

TEST_CASE("condition: wait_for references a named predicate, and keeps a temporary or taken one") {
    virtual_run([]() -> aio::task<> {
        aio::condition c;
        struct twice {
            int calls = 0;
            bool operator()() { return ++calls == 2; }
        };
        twice named;
        auto waiter = aio::create_task([&]() -> aio::task<> {
            const auto guard = co_await c.scoped_acquire();
            co_await c.wait_for(named);
        });
        co_await aio::yield();
        CHECK(named.calls == 1);
        co_await notifies(c, 1);
        co_await waiter;
        CHECK(named.calls == 2);
        auto owner = [p = std::make_unique<int>(5)] { return *p; };
        const auto guard = co_await c.scoped_acquire();
        const int value = co_await c.wait_for(aio::take(owner));
        CHECK(value == 5);
    });
}

TEST_CASE("condition: what a predicate throws leaves wait_for, with the mutex locked") {
    virtual_run([]() -> aio::task<> {
        aio::condition c;
        auto throws = []() -> bool { throw boom("predicate"); };
        const auto guard = co_await c.scoped_acquire();
        std::string thrown;
        try {
            co_await c.wait_for(throws);
        } catch (const boom& e) {
            thrown = e.what();
        }
        CHECK(thrown == "predicate");
        CHECK(c.locked());
    });
}

TEST_CASE("condition: several share one mutex", "[CND-10]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::mutex m;
        aio::condition a(m);
        aio::condition b(m);
        auto on_a = aio::create_task(waits(a, "a", log));
        auto on_b = aio::create_task(waits(b, "b", log));
        co_await aio::testing::run_until_idle();
        {
            const auto guard = co_await m.scoped_acquire();
            CHECK(a.locked());
            CHECK(b.locked());
            b.notify_all();
        }
        co_await on_b;
        CHECK(!on_a.done());
        co_await notifies(a, 1);
        co_await on_a;
    });
    CHECK(log == trace{"b", "a"});
}

TEST_CASE("condition: in a timeout the mutex is locked when the block ends", "[CND-11]") {
    virtual_run([]() -> aio::task<> {
        aio::condition c;
        bool late = false;
        const auto guard = co_await c.scoped_acquire();
        auto body = [&] { return c.wait(); };
        try {
            co_await aio::with(aio::timeout(5ms), body);
        } catch (const aio::timeout_error&) {
            late = true;
        }
        CHECK(late);
        CHECK(c.locked());
    });
}

TEST_CASE("condition: waiting where tasks of another loop wait is misuse that leaves the mutex locked", "[LOCK-13]") {
    const audited afterwards;
    aio::condition c;
    trace log;
    aio::event_loop loop(aio::testing::virtual_clock());
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    loop.create_task(waits(c, "a", log));
    aio::testing::run_until_idle(loop);
    CHECK(c.try_acquire());
    CHECK_THROWS_AS(aio::run(c.wait()), std::logic_error);
    CHECK(c.locked());
    c.release();
    loop.close();
}

TEST_CASE("condition: is destroyed with its loop while tasks wait") {
    const audited afterwards;
    trace log;
    aio::event_loop loop(aio::testing::virtual_clock());
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    loop.create_task([&]() -> aio::task<> {
        aio::condition c;
        for (const char* name : {"a", "b"}) aio::create_task(waits(c, name, log));
        co_await aio::yield();
        co_await notifies(c, 1);
        co_await c.acquire(); // a waits for it, b to be notified
        co_await aio::sleep(1h);
    });
    aio::testing::run_until_idle(loop);
    loop.close();
    CHECK(log.empty());
}

TEST_CASE("condition: 100,000 waits") {
    virtual_run([]() -> aio::task<> {
        aio::condition c;
        int turn = 0;
        auto player = [&](int self) -> aio::task<> {
            auto mine = [&] { return turn % 2 == self; };
            for (int i = 0; i < 50'000; ++i) {
                const auto guard = co_await c.scoped_acquire();
                co_await c.wait_for(mine);
                ++turn;
                c.notify();
            }
        };
        auto a = aio::create_task(player(0));
        auto b = aio::create_task(player(1));
        co_await a;
        co_await b;
        CHECK(turn == 100'000);
    });
}

TEST_CASE("condition: debug mode reports a guard whose co_await was forgotten, with its task") {
    for (const bool debug : {true, false}) {
        std::string text;
        {
            const captured_stderr printed;
            auto main = []() -> aio::task<> {
                aio::condition m;
                const auto guard = m.scoped_acquire();
                co_await aio::yield();
            };
            virtual_run(main(), aio::run_options{.debug = debug, .virtual_time = true});
            text = printed.text();
        }
        CHECK(contains(text, "acquire() or scoped_acquire() of a mutex was never awaited") == debug);
        CHECK(contains(text, "Task-1") == debug);
        CHECK(contains(text, "condition.test.cpp:") == debug);
    }
}

TEST_CASE("condition: a predicate that cannot be moved in leaves nothing") {
    virtual_run([]() -> aio::task<> {
        aio::condition c;
        const fragile value(1);
        const auto is_true = [value] { return value.value == 1; };
        co_await c.acquire();
        CHECK(throws_while_made([&] {
                  auto given = is_true;
                  return c.wait_for(aio::take(given));
              }) > 1);
        auto given = is_true;
        const bool found = co_await c.wait_for(aio::take(given));
        CHECK(found);
        c.release();
    });
    CHECK(fragile::alive == 0);
}
