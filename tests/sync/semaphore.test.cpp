// SPDX-License-Identifier: BSL-1.0
#include <asynchio/sync/semaphore.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/race.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> acquires(aio::semaphore& s, std::string name, trace& log) {
    co_await s.acquire();
    log.push_back(name);
}

} // namespace

TEST_CASE("semaphore: takes a number of permits that is not negative", "[SEM-2]") {
    CHECK_THROWS_AS(aio::semaphore(-1), std::invalid_argument);
    CHECK_THROWS_AS(aio::bounded_semaphore(-1), std::invalid_argument);
    CHECK(message_of([] { aio::semaphore s(-5); }) == "semaphore: the number of permits must not be negative");
    aio::semaphore none(0);
    CHECK(none.locked());
    CHECK(!none.try_acquire());
    aio::semaphore one;
    CHECK(!one.locked());
    CHECK(one.try_acquire());
    CHECK(!one.try_acquire());
}

TEST_CASE("semaphore: with a permit there, acquire does not yield", "[SEM-1]") {
    virtual_run([]() -> aio::task<> {
        aio::semaphore s(2);
        const iterations count;
        for (int i = 0; i < 100'000; ++i) {
            co_await s.acquire();
            s.release();
        }
        co_await s.acquire();
        CHECK(!s.locked());
        co_await s.acquire();
        CHECK(s.locked());
        CHECK(count.passed() == 0);
    });
}

TEST_CASE("semaphore: a permit that comes back belongs to the first who waits", "[SEM-3]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::semaphore s(1);
        co_await s.acquire();
        for (const char* name : {"a", "b"}) aio::create_task(acquires(s, name, log));
        co_await aio::yield();
        s.release();
        CHECK(s.locked());
        CHECK(!s.try_acquire());
        auto newcomer = aio::create_task(acquires(s, "newcomer", log));
        co_await aio::yield();
        CHECK(log == trace{"a"});
        s.release();
        s.release();
        co_await newcomer;
    });
    CHECK(log == trace{"a", "b", "newcomer"});
}

TEST_CASE("semaphore: who comes while another is about to run waits, but does not wait for ever", "[SEM-3][SEM-4]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::semaphore s(1);
        co_await s.acquire();
        auto late = aio::create_task([&]() -> aio::task<> {
            co_await aio::yield();
            co_await acquires(s, "late", log);
        });
        auto first = aio::create_task(acquires(s, "first", log));
        co_await aio::yield();
        s.release();
        s.release(); // there is a permit, but `first`, who was given the other, has not run when `late` comes
        CHECK(s.locked());
        co_await late;
        CHECK(first.done());
        CHECK(s.locked());
    });
    CHECK(log == trace{"first", "late"});
}

TEST_CASE("semaphore: is locked without permits, and while somebody waits who is not cancelled", "[SEM-4]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::semaphore s(0);
        auto a = aio::create_task(acquires(s, "a", log));
        co_await aio::yield();
        s.release();
        s.release();
        CHECK(s.locked());
        co_await a;
        CHECK(!s.locked());
    });
}

TEST_CASE("semaphore: several releases wake several in one iteration", "[SEM-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::semaphore s(0);
        for (const char* name : {"a", "b", "c", "d"}) aio::create_task(acquires(s, name, log));
        co_await aio::yield();
        for (int i = 0; i < 3; ++i) s.release();
        co_await aio::yield();
        CHECK(log == trace{"a", "b", "c"});
        s.release();
        co_await aio::yield();
    });
    CHECK(log == trace{"a", "b", "c", "d"});
}

TEST_CASE("semaphore: a cancelled waiter is passed over", "[SEM-6]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::semaphore s(0);
        auto a = aio::create_task(acquires(s, "a", log));
        auto b = aio::create_task(acquires(s, "b", log));
        co_await aio::yield();
        a.cancel();
        s.release();
        co_await aio::yield();
        CHECK(a.cancelled());
        CHECK(b.done());
        CHECK(s.locked());
        s.release();
        CHECK(!s.locked());
    });
    CHECK(log == trace{"b"});
}

TEST_CASE("semaphore: a waiter that is cancelled with its permit passes it on", "[SEM-7]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::semaphore s(0);
        auto a = aio::create_task(acquires(s, "a", log));
        auto b = aio::create_task(acquires(s, "b", log));
        co_await aio::yield();
        s.release();
        a.cancel();
        a.cancel();
        co_await b;
        CHECK(a.cancelled());
        CHECK(s.locked());
        auto c = aio::create_task(acquires(s, "c", log));
        co_await aio::yield();
        s.release();
        c.cancel();
        co_await aio::yield();
        CHECK(c.cancelled());
        CHECK(s.try_acquire()); // nobody is left to take it
    });
    CHECK(log == trace{"b"});
}

TEST_CASE("semaphore: may be released above its first number", "[SEM-8]") {
    aio::semaphore s(0);
    for (int i = 0; i < 3; ++i) s.release();
    for (int i = 0; i < 3; ++i) CHECK(s.try_acquire());
    CHECK(!s.try_acquire());
}

TEST_CASE("bounded_semaphore: released too often is misuse, and adds nothing", "[SEM-9]") {
    virtual_run([]() -> aio::task<> {
        aio::bounded_semaphore s(2);
        CHECK_THROWS_AS(s.release(), std::invalid_argument);
        co_await s.acquire();
        s.release();
        CHECK(message_of([&] { s.release(); }) ==
              "release: the semaphore has all its permits: it was released too often");
        CHECK(s.try_acquire());
        CHECK(s.try_acquire());
        CHECK(!s.try_acquire());
        s.release();
        s.release();
        auto body = [&]() -> aio::task<> {
            s.release();
            co_return;
        };
        std::string end;
        try {
            co_await aio::with(s, body);
        } catch (const std::invalid_argument& e) {
            end = e.what();
        }
        CHECK(contains(end, "too often"));
    });
}

TEST_CASE("semaphore: a guard gives its permit back when it goes away, or earlier") {
    virtual_run([]() -> aio::task<> {
        aio::semaphore s(1);
        {
            const auto permit = co_await s.scoped_acquire();
            CHECK(permit);
            CHECK(s.locked());
        }
        CHECK(!s.locked());
        auto permit = co_await s.scoped_acquire();
        permit.release();
        permit.release();
        CHECK(!permit);
        CHECK(s.try_acquire());
        CHECK(!s.try_acquire());
        aio::semaphore_guard a(s);
        aio::semaphore_guard b(std::move(a));
        CHECK(!a);
        b = aio::semaphore_guard();
        CHECK(!s.locked());
    });
}

TEST_CASE("bounded_semaphore: a guard gives nothing back when all is back already") {
    aio::bounded_semaphore s(1);
    CHECK(s.try_acquire());
    {
        const aio::semaphore_guard permit(s);
        s.release();
    }
    CHECK(s.try_acquire());
    CHECK(!s.try_acquire());
}

TEST_CASE("semaphore: with gives the permit back on every path") {
    virtual_run([]() -> aio::task<> {
        aio::semaphore s(1);
        auto breaks = [] { return fails("x"); };
        bool thrown = false;
        try {
            co_await aio::with(s, breaks);
        } catch (const boom&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(!s.locked());
        auto slow = [] { return ends_after(1h); };
        try {
            co_await aio::with(aio::timeout(1ms), s, slow);
        } catch (const aio::timeout_error&) {}
        CHECK(!s.locked());
    });
}

TEST_CASE("semaphore: keeps its permits when a loop is closed under those who wait and hold") {
    aio::semaphore s(1);
    trace log;
    const audited afterwards;
    {
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        auto holds = [&]() -> aio::task<> {
            const auto permit = co_await s.scoped_acquire();
            co_await aio::sleep(1h);
        };
        loop.create_task(holds());
        for (int i = 0; i < 3; ++i) loop.create_task(holds());
        aio::testing::run_until_idle(loop);
        s.release(); // somebody has a permit now, and has not run
    }
    CHECK(s.try_acquire());
    CHECK(s.try_acquire());
    CHECK(!s.try_acquire());
}

TEST_CASE("semaphore: 100,000 acquisitions that wait, at most three at a time") {
    virtual_run([]() -> aio::task<> {
        aio::semaphore s(3);
        int inside = 0;
        int most = 0;
        int passed = 0;
        auto user = [&]() -> aio::task<> {
            for (int i = 0; i < 10'000; ++i) {
                const auto permit = co_await s.scoped_acquire();
                most = std::max(most, ++inside);
                co_await aio::yield();
                --inside;
                ++passed;
            }
        };
        std::vector<aio::task_handle<>> all;
        for (int i = 0; i < 10; ++i) all.push_back(aio::create_task(user()));
        for (const auto& each : all) co_await each;
        CHECK(most == 3);
        CHECK(passed == 100'000);
    });
}

TEST_CASE("semaphore: debug mode reports a guard whose co_await was forgotten, with its task") {
    for (const bool debug : {true, false}) {
        std::string text;
        {
            const captured_stderr printed;
            auto main = []() -> aio::task<> {
                aio::semaphore m(1);
                const auto guard = m.scoped_acquire();
                co_await aio::yield();
            };
            virtual_run(main(), aio::run_options{.debug = debug, .virtual_time = true});
            text = printed.text();
        }
        CHECK(contains(text, "acquire() or scoped_acquire() of a semaphore was never awaited") == debug);
        CHECK(contains(text, "Task-1") == debug);
        CHECK(contains(text, "semaphore.test.cpp:") == debug);
    }
}

TEST_CASE("semaphore: what is awaited, passed on or not needed any more is no forgotten guard") {
    std::string text;
    {
        const captured_stderr printed;
        auto main = []() -> aio::task<> {
            aio::semaphore m(1);
            {
                const auto guard = co_await m.scoped_acquire(); // free
                auto second = m.acquire();
                auto third = std::move(second);
                auto late = aio::create_task(std::move(third)); // is cancelled while it waits
                co_await aio::yield();
                late.cancel();
                aio::create_task(m.acquire()).cancel(); // before it begins
                auto never = m.acquire();
                CHECK_THROWS_AS(co_await aio::wait_for(std::move(never), 0s), aio::timeout_error);
                co_await aio::race(aio::yield(), m.acquire());
            }
            const auto waits = [&m]() -> aio::task<> { const auto guard = co_await m.scoped_acquire(); };
            co_await m.acquire();
            const auto other = aio::create_task(waits);
            co_await aio::yield();
            m.release();
            co_await other;
        };
        virtual_run(main(), aio::run_options{.debug = true, .virtual_time = true});
        text = printed.text();
    }
    CHECK(text == "");
}

TEST_CASE("semaphore: debug mode takes one of one permit for a lock, and no other one") {
    for (const int permits : {1, 0, 2}) {
        std::vector<std::string> reports;
        auto main = [&]() -> aio::task<> {
            aio::get_running_loop().set_report_handler(
                [&](aio::event_loop&, const aio::exception_context& context) { reports.push_back(context.message); });
            aio::semaphore a(permits);
            aio::semaphore b(permits);
            while (!a.locked() && permits == 2) co_await a.acquire();
            while (!b.locked() && permits == 2) co_await b.acquire();
            if (permits != 1) {
                a.release();
                b.release();
            }
            auto takes_both = [](aio::semaphore& first, aio::semaphore& second) -> aio::task<> {
                const auto one = co_await first.scoped_acquire();
                co_await aio::sleep(1s);
                const auto two = co_await second.scoped_acquire();
            };
            const auto one = aio::create_task(takes_both(a, b), "one");
            const auto two = aio::create_task(takes_both(b, a), "two");
            co_await aio::sleep(5s);
            CHECK(!one.done());
            one.cancel();
            co_await two;
            reports.push_back("end");
            // Its own permit is given back by another task: that is no cycle.
            co_await a.acquire();
            auto gives = [&]() -> aio::task<> {
                a.release();
                co_return;
            };
            const auto three = aio::create_task(gives());
            co_await a.acquire();
            co_await three;
        };
        virtual_run(main(), {.debug = true, .virtual_time = true});
        REQUIRE(reports.size() == (permits == 1 ? 2 : 1));
        if (permits == 1) {
            CHECK(contains(reports[0], "lock cycle: 2 tasks wait for each other\n  two waits at "));
            CHECK(contains(reports[0], " for a lock held by one since "));
        }
        CHECK(reports.back() == "end");
    }
}

TEST_CASE("semaphore: debug mode does not change who gets a permit, and when") {
    std::vector<std::string> logs;
    for (const bool debug : {false, true}) {
        std::string log;
        auto main = [&]() -> aio::task<> {
            aio::semaphore s;
            auto count = std::make_unique<iterations>();
            co_await s.acquire();
            CHECK(s.locked());
            CHECK(!s.try_acquire());
            s.release();
            CHECK(!s.locked());
            CHECK(s.try_acquire());
            s.release();
            CHECK(count->passed() == 0);
            count.reset(); // which lets no time pass
            std::vector<aio::task_handle<>> all;
            auto takes = [&](char name) -> aio::task<> {
                const auto permit = co_await s.scoped_acquire();
                log += name;
                co_await aio::sleep(1s);
            };
            for (const char each : {'a', 'b', 'c', 'd'}) all.push_back(aio::create_task(takes(each)));
            co_await aio::yield();
            all[1].cancel();
            for (int i = 0; i < 5; ++i) co_await aio::sleep(1s);
            s.release(); // a second permit
            CHECK(s.try_acquire());
            CHECK(s.try_acquire());
            CHECK(s.locked());
        };
        virtual_run(main(), {.debug = debug, .virtual_time = true});
        logs.push_back(log);
    }
    CHECK(logs[0] == logs[1]);
    CHECK(logs[0] == "acd");
}
