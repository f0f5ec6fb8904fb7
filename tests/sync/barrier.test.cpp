// SPDX-License-Identifier: BSL-1.0
#include <asynchio/sync/barrier.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Passes once; logs "<name><index>", or how it failed.
aio::task<> passes(aio::barrier& b, std::string name, trace& log) {
    try {
        const std::size_t index = co_await b.wait();
        log.push_back(name + std::to_string(index));
    } catch (const aio::broken_barrier_error&) {
        log.push_back(name + " broken");
    }
}

} // namespace

TEST_CASE("barrier: takes at least one party, and one alone never waits", "[BAR-1]") {
    CHECK_THROWS_AS(aio::barrier(0), std::invalid_argument);
    CHECK_THROWS_AS(aio::barrier(-2), std::invalid_argument);
    CHECK(message_of([] { aio::barrier b(0); }) == "barrier: the number of parties must be at least 1");
    virtual_run([]() -> aio::task<> {
        aio::barrier b(1);
        CHECK(b.parties() == 1);
        CHECK(b.n_waiting() == 0);
        const iterations count;
        for (int i = 0; i < 100'000; ++i) {
            const std::size_t index = co_await b.wait();
            if (index != 0) FAIL("index");
        }
        CHECK(count.passed() == 0);
        CHECK(!b.broken());
    });
}

TEST_CASE("barrier: the last goes on at once, the others in the order of arrival", "[BAR-2][BAR-3]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(4);
        for (const char* name : {"a", "b", "c"}) aio::create_task(passes(b, name, log));
        co_await aio::testing::run_until_idle();
        CHECK(b.n_waiting() == 3);
        CHECK(log.empty());
        const iterations count;
        const std::size_t index = co_await b.wait();
        CHECK(count.passed() == 0);
        log.push_back("last" + std::to_string(index));
        CHECK(b.n_waiting() == 0);
        co_await aio::yield();
    });
    CHECK(log == trace{"last3", "a0", "b1", "c2"});
}

TEST_CASE("barrier: can be used again, with new indexes", "[BAR-3][BAR-4]") {
    virtual_run([]() -> aio::task<> {
        aio::barrier b(3);
        std::vector<std::vector<std::size_t>> seen(5);
        auto worker = [&]() -> aio::task<> {
            for (auto& cycle : seen) {
                const std::size_t index = co_await b.wait();
                cycle.push_back(index);
            }
        };
        std::vector<aio::task_handle<>> all;
        for (int i = 0; i < 3; ++i) all.push_back(aio::create_task(worker()));
        for (const auto& each : all) co_await each;
        for (const auto& cycle : seen) CHECK(cycle == std::vector<std::size_t>{2, 0, 1});
        CHECK(b.n_waiting() == 0);
    });
}

TEST_CASE("barrier: who arrives while others leave belongs to the next cycle", "[BAR-5][BAR-6]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(2);
        auto a = aio::create_task(passes(b, "a", log));
        co_await aio::yield();
        co_await b.wait(); // a is about to leave
        CHECK(b.n_waiting() == 0);
        auto early = aio::create_task(aio::eager, passes(b, "early", log));
        auto other = aio::create_task(aio::eager, passes(b, "other", log));
        CHECK(b.n_waiting() == 0);
        CHECK(log.empty());
        co_await aio::yield();
        CHECK(log == trace{"a0"});
        co_await aio::yield();
        co_await early;
        co_await other;
        CHECK(b.n_waiting() == 0);
    });
    CHECK(log == trace{"a0", "other1", "early0"});
}

TEST_CASE("barrier: a newcomer of the next cycle can be overtaken, and waits for the one after", "[BAR-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(2);
        auto a = aio::create_task(passes(b, "a", log));
        co_await aio::yield();
        co_await b.wait();
        std::vector<aio::task_handle<>> all;
        for (const char* name : {"b", "c", "d", "e"}) all.push_back(aio::create_task(aio::eager, passes(b, name, log)));
        co_await aio::testing::run_until_idle();
        for (const auto& each : all) CHECK(each.done());
    });
    CHECK(log == trace{"a0", "c1", "b0", "e1", "d0"});
}

TEST_CASE("barrier: a cancelled waiter takes its arrival back", "[BAR-7]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(3);
        auto a = aio::create_task(passes(b, "a", log));
        auto c = aio::create_task(passes(b, "c", log));
        co_await aio::yield();
        CHECK(b.n_waiting() == 2);
        a.cancel();
        a.cancel();
        co_await aio::yield();
        CHECK(a.cancelled());
        CHECK(b.n_waiting() == 1);
        CHECK(!b.broken());
        auto d = aio::create_task(passes(b, "d", log));
        co_await aio::yield();
        co_await b.wait();
        co_await d;
        CHECK(c.done());
    });
    CHECK(log == trace{"c1", "d1"});
}

TEST_CASE("barrier: cancelled after the wake-up, the waiter has left all the same", "[BAR-7]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(3);
        auto a = aio::create_task(passes(b, "a", log));
        auto c = aio::create_task(passes(b, "c", log));
        co_await aio::yield();
        co_await b.wait();
        a.cancel();
        auto next = aio::create_task(aio::eager, passes(b, "next", log));
        co_await aio::testing::run_until_idle();
        CHECK(a.cancelled());
        CHECK(c.done());
        CHECK(b.n_waiting() == 1);
        next.cancel();
        co_await aio::yield();
        CHECK(b.n_waiting() == 0);
    });
    CHECK(log == trace{"c1"});
}

TEST_CASE("barrier: one that waits for the next cycle can be cancelled", "[BAR-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(2);
        auto a = aio::create_task(passes(b, "a", log));
        co_await aio::yield();
        co_await b.wait();
        auto next = aio::create_task(aio::eager, passes(b, "next", log));
        next.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(next.cancelled());
        CHECK(b.n_waiting() == 0);
    });
    CHECK(log == trace{"a0"});
}

TEST_CASE("barrier: reset throws in those who wait, and it is as new", "[BAR-8]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(3);
        b.reset();
        CHECK(!b.broken());
        for (const char* name : {"a", "b"}) aio::create_task(passes(b, name, log));
        co_await aio::yield();
        b.reset();
        CHECK(!b.broken());
        CHECK(b.n_waiting() == 0);
        auto again = aio::create_task(passes(b, "again", log));
        co_await aio::testing::run_until_idle();
        CHECK(b.n_waiting() == 1);
        again.cancel();
        co_await aio::yield();
    });
    CHECK(log == trace{"a broken", "b broken"});
}

TEST_CASE("barrier: reset while the last cycle leaves throws in those who have not left; who comes belongs to the next",
          "[BAR-9]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(3);
        auto resets = [&]() -> aio::task<> {
            co_await passes(b, "a", log);
            b.reset();
        };
        auto a = aio::create_task(resets());
        auto c = aio::create_task(passes(b, "c", log));
        co_await aio::yield();
        co_await b.wait();
        auto next = aio::create_task(aio::eager, passes(b, "next", log));
        co_await aio::testing::run_until_idle();
        CHECK(a.done());
        CHECK(c.done());
        CHECK(!next.done());
        CHECK(!b.broken());
        CHECK(b.n_waiting() == 1);
        auto last = aio::create_task(passes(b, "last", log));
        co_await aio::yield();
        co_await b.wait();
        co_await last;
    });
    CHECK(log == trace{"a0", "c broken", "next0", "last1"});
}

TEST_CASE("barrier: abort throws in everybody until it is reset", "[BAR-10]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(3);
        for (const char* name : {"a", "b"}) aio::create_task(passes(b, name, log));
        co_await aio::yield();
        b.abort();
        CHECK(b.broken());
        CHECK(b.n_waiting() == 0);
        {
            const iterations count;
            co_await passes(b, "late", log);
            CHECK(count.passed() == 0);
        }
        co_await aio::testing::run_until_idle();
        b.abort();
        CHECK(b.broken());
        co_await passes(b, "later", log);
        b.reset();
        CHECK(!b.broken());
        for (const char* name : {"c", "d"}) aio::create_task(passes(b, name, log));
        co_await aio::yield();
        const std::size_t index = co_await b.wait();
        CHECK(index == 2);
        co_await aio::yield();
    });
    CHECK(log == trace{"late broken", "a broken", "b broken", "later broken", "c0", "d1"});
}

TEST_CASE("barrier: aborted and reset in one iteration, those who waited still get the error", "[BAR-8][BAR-10]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(2);
        auto a = aio::create_task(passes(b, "a", log));
        co_await aio::yield();
        b.abort();
        b.reset();
        CHECK(!b.broken());
        auto next = aio::create_task(aio::eager, passes(b, "next", log));
        co_await aio::testing::run_until_idle();
        CHECK(a.done());
        CHECK(b.n_waiting() == 1);
        co_await b.wait();
        co_await next;
    });
    CHECK(log == trace{"a broken", "next0"});
}

TEST_CASE("barrier: abort while the last cycle leaves throws in those who have not left, and in the next", "[BAR-11]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(3);
        auto aborts = [&]() -> aio::task<> {
            co_await passes(b, "a", log);
            b.abort();
        };
        auto a = aio::create_task(aborts());
        auto c = aio::create_task(passes(b, "c", log));
        co_await aio::yield();
        co_await b.wait();
        auto next = aio::create_task(aio::eager, passes(b, "next", log));
        co_await aio::testing::run_until_idle();
        CHECK(next.done());
        CHECK(b.broken());
    });
    CHECK(log == trace{"a0", "c broken", "next broken"});
}

TEST_CASE("barrier: with waits on entering, gives the index, and does nothing at the end", "[BAR-12]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::barrier b(2);
        auto body = [&](std::size_t index) -> aio::task<> {
            log.push_back("in " + std::to_string(index));
            co_await aio::sleep(1ms);
            log.push_back("out " + std::to_string(index));
        };
        auto a = aio::create_task(aio::with(b, body));
        co_await aio::with(b, body);
        co_await a;
        CHECK(b.n_waiting() == 0);
    });
    CHECK(log == trace{"in 1", "in 0", "out 1", "out 0"});
}

TEST_CASE("barrier: a wait that comes too late does not count") {
    virtual_run([]() -> aio::task<> {
        aio::barrier b(2);
        bool late = false;
        auto body = [&]() -> aio::task<> { co_await b.wait(); };
        try {
            co_await aio::with(aio::timeout(1ms), body);
        } catch (const aio::timeout_error&) {
            late = true;
        }
        CHECK(late);
        CHECK(b.n_waiting() == 0);
    });
}

TEST_CASE("barrier: forgets those whose loop is closed") {
    const audited afterwards;
    aio::barrier b(3);
    trace log;
    {
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        for (const char* name : {"a", "b"}) loop.create_task(passes(b, name, log));
        aio::testing::run_until_idle(loop);
        CHECK(b.n_waiting() == 2);
    }
    CHECK(b.n_waiting() == 0);
    CHECK(log.empty());
}

TEST_CASE("barrier: a task of another loop that may not wait has not arrived", "[LOCK-13]") {
    const audited afterwards;
    aio::barrier b(3);
    trace log;
    aio::event_loop loop(aio::testing::virtual_clock());
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    loop.create_task(passes(b, "a", log));
    aio::testing::run_until_idle(loop);
    CHECK_THROWS_AS(aio::run(passes(b, "foreign", log)), std::logic_error);
    CHECK(b.n_waiting() == 1);
    loop.close();
}

TEST_CASE("barrier: 100,000 cycles") {
    virtual_run([]() -> aio::task<> {
        aio::barrier b(2);
        std::size_t sum = 0;
        auto worker = [&]() -> aio::task<> {
            for (int i = 0; i < 100'000; ++i) sum += co_await b.wait();
        };
        auto a = aio::create_task(worker());
        auto c = aio::create_task(worker());
        co_await a;
        co_await c;
        CHECK(sum == 100'000);
    });
}
