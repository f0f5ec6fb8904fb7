// SPDX-License-Identifier: BSL-1.0
#include <asynchio/sync/mutex.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/race.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Acquires it, holds it for `time`, releases it.
aio::task<> holds(aio::mutex& m, std::string name, trace& log, aio::duration time = 1ms) {
    co_await m.acquire();
    log.push_back(name);
    co_await aio::sleep(time);
    m.release();
}

} // namespace

TEST_CASE("mutex: a free one is locked without yielding", "[LOCK-1][LOCK-9]") {
    virtual_run([]() -> aio::task<> {
        aio::mutex m;
        CHECK(!m.locked());
        const iterations count;
        for (int i = 0; i < 100'000; ++i) {
            co_await m.acquire();
            m.release();
        }
        co_await m.acquire();
        CHECK(m.locked());
        CHECK(count.passed() == 0);
        m.release();
        CHECK(!m.locked());
    });
}

TEST_CASE("mutex: try_acquire takes a free one only") {
    aio::mutex m;
    CHECK(m.try_acquire());
    CHECK(m.locked());
    CHECK(!m.try_acquire());
    m.release();
    CHECK(m.try_acquire());
    m.release();
}

TEST_CASE("mutex: is served in the order of arrival, an iteration after the release", "[LOCK-2][LOCK-3]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::mutex m;
        co_await m.acquire();
        for (const char* name : {"a", "b", "c"}) aio::create_task(holds(m, name, log));
        co_await aio::yield();
        m.release();
        log.push_back("released");
        CHECK(!m.locked());
        co_await aio::yield();
        CHECK(m.locked());
        CHECK(log == trace{"released", "a"});
        co_await aio::sleep(10ms);
        CHECK(!m.locked());
    });
    CHECK(log == trace{"released", "a", "b", "c"});
}

TEST_CASE("mutex: nobody overtakes who was woken, neither who released nor a newcomer", "[LOCK-4][LOCK-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::mutex m;
        co_await m.acquire();
        auto a = aio::create_task(holds(m, "a", log));
        co_await aio::yield();
        m.release();
        CHECK(!m.locked());
        CHECK(!m.try_acquire());
        co_await m.acquire();
        log.push_back("again");
        CHECK(a.done());
        m.release();
    });
    CHECK(log == trace{"a", "again"});
}

TEST_CASE("mutex: a cancelled waiter leaves, and the others keep their order", "[LOCK-6]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::mutex m;
        co_await m.acquire();
        std::vector<aio::task_handle<>> all;
        for (const char* name : {"a", "b", "c"}) all.push_back(aio::create_task(holds(m, name, log)));
        co_await aio::yield();
        all[1].cancel();
        co_await aio::yield();
        CHECK(all[1].cancelled());
        CHECK(m.locked());
        m.release();
        co_await aio::sleep(10ms);
    });
    CHECK(log == trace{"a", "c"});
}

TEST_CASE("mutex: who is cancelled after the wake-up passes it on", "[LOCK-7]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::mutex m;
        co_await m.acquire();
        auto a = aio::create_task(holds(m, "a", log));
        auto b = aio::create_task(holds(m, "b", log));
        co_await aio::yield();
        m.release();
        a.cancel();
        a.cancel();
        co_await aio::yield();
        CHECK(a.cancelled());
        CHECK(!m.locked());
        co_await b;
    });
    CHECK(log == trace{"b"});
}

TEST_CASE("mutex: who is cancelled before the release in the same iteration does not hold it up", "[LOCK-7][LOCK-14]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::mutex m;
        co_await m.acquire();
        auto a = aio::create_task(holds(m, "a", log));
        auto b = aio::create_task(holds(m, "b", log));
        co_await aio::yield();
        a.cancel();
        m.release(); // the first is on its way out, and wakes b
        co_await b;
        CHECK(a.cancelled());
        co_await m.acquire();
        auto last = aio::create_task(holds(m, "last", log));
        co_await aio::yield();
        last.cancel();
        m.release();
        CHECK(m.try_acquire()); // only cancelled ones are in line
        co_await aio::yield();
        CHECK(last.cancelled());
        CHECK(m.locked());
        m.release();
    });
    CHECK(log == trace{"b"});
}

TEST_CASE("mutex: releasing a free one is misuse", "[LOCK-8]") {
    aio::mutex m;
    CHECK_THROWS_AS(m.release(), std::logic_error);
    CHECK(message_of([&] { m.release(); }) == "release: the mutex is not locked");
    CHECK(!m.locked());
    CHECK(m.try_acquire());
    m.release();
}

TEST_CASE("mutex: any task may release it; acquired twice by one task it waits", "[LOCK-10]") {
    virtual_run([]() -> aio::task<> {
        aio::mutex m;
        co_await m.acquire();
        auto other = aio::create_task([&]() -> aio::task<> {
            m.release();
            co_return;
        });
        co_await m.acquire();
        CHECK(other.done());
        CHECK(m.locked());
        m.release();
    });
}

TEST_CASE("mutex: with releases at the end, at an exception and at a cancellation", "[LOCK-11]") {
    virtual_run([]() -> aio::task<> {
        aio::mutex m;
        auto checks = [&]() -> aio::task<int> {
            CHECK(m.locked());
            co_return 4;
        };
        const int value = co_await aio::with(m, checks);
        CHECK(value == 4);
        CHECK(!m.locked());
        std::string thrown;
        auto breaks = [&] { return fails("x"); };
        try {
            co_await aio::with(m, breaks);
        } catch (const boom& e) {
            thrown = e.what();
        }
        CHECK(thrown == "x");
        CHECK(!m.locked());
        auto sleeps = [&] { return ends_after(1h); };
        auto t = aio::create_task(aio::with(m, sleeps));
        co_await aio::yield();
        CHECK(m.locked());
        t.cancel();
        co_await aio::yield();
        co_await aio::yield();
        CHECK(t.cancelled());
        CHECK(!m.locked());
    });
}

TEST_CASE("mutex: a guard releases when it goes away, or earlier", "[LOCK-11]") {
    virtual_run([]() -> aio::task<> {
        aio::mutex m;
        {
            const auto guard = co_await m.scoped_acquire();
            CHECK(guard);
            CHECK(m.locked());
        }
        CHECK(!m.locked());
        auto guard = co_await m.scoped_acquire();
        guard.release();
        CHECK(!guard);
        CHECK(!m.locked());
        guard.release();
        CHECK(!m.locked());
    });
}

TEST_CASE("mutex: a guard moves, and one that is replaced releases") {
    STATIC_REQUIRE(!std::is_copy_constructible_v<aio::mutex_guard>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<aio::mutex_guard>);
    aio::mutex m;
    aio::mutex n;
    aio::mutex_guard empty;
    CHECK(!empty);
    CHECK(m.try_acquire());
    CHECK(n.try_acquire());
    aio::mutex_guard a(m);
    aio::mutex_guard b(std::move(a));
    CHECK(m.locked());
    b = aio::mutex_guard(n);
    CHECK(!m.locked());
    CHECK(n.locked());
    b = aio::mutex_guard();
    CHECK(!n.locked());
}

TEST_CASE("mutex: a guard leaves alone what was released meanwhile") {
    aio::mutex m;
    CHECK(m.try_acquire());
    {
        const aio::mutex_guard guard(m);
        m.release();
    }
    CHECK(!m.locked());
}

TEST_CASE("mutex: a guard that was waited for is handed over in order", "[LOCK-2]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::mutex m;
        auto user = [&](std::string name) -> aio::task<> {
            const auto guard = co_await m.scoped_acquire();
            log.push_back(name);
            co_await aio::yield();
        };
        std::vector<aio::task_handle<>> all;
        for (const char* name : {"a", "b", "c"}) all.push_back(aio::create_task(user(name)));
        all[1].cancel();
        for (const auto& each : all)
            while (!each.done()) co_await aio::yield();
        CHECK(!m.locked());
    });
    CHECK(log == trace{"a", "c"});
}

TEST_CASE("mutex: a lock that comes too late is not taken", "[LOCK-6]") {
    virtual_run([]() -> aio::task<> {
        aio::mutex m;
        co_await m.acquire();
        std::string end = "in time";
        auto body = [&]() -> aio::task<> { co_await m.acquire(); };
        try {
            co_await aio::with(aio::timeout(5ms), body);
        } catch (const aio::timeout_error&) {
            end = "too late";
        }
        CHECK(end == "too late");
        m.release();
        CHECK(m.try_acquire());
        m.release();
    });
}

TEST_CASE("mutex: outlives a loop that is closed while tasks hold it and wait for it") {
    aio::mutex m;
    trace log;
    const audited afterwards;
    {
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        auto guarded = [&]() -> aio::task<> {
            const auto guard = co_await m.scoped_acquire();
            co_await aio::sleep(1h);
        };
        loop.create_task(guarded());
        loop.create_task(holds(m, "a", log));
        loop.create_task(holds(m, "b", log));
        aio::testing::run_until_idle(loop);
        CHECK(m.locked());
    }
    CHECK(!m.locked());
    CHECK(m.try_acquire());
    m.release();
}

TEST_CASE("mutex: 100,000 locks that wait") {
    virtual_run([]() -> aio::task<> {
        aio::mutex m;
        int inside = 0;
        int most = 0;
        int passed = 0;
        auto user = [&]() -> aio::task<> {
            for (int i = 0; i < 25'000; ++i) {
                const auto guard = co_await m.scoped_acquire();
                most = std::max(most, ++inside);
                co_await aio::yield();
                --inside;
                ++passed;
            }
        };
        std::vector<aio::task_handle<>> all;
        for (int i = 0; i < 4; ++i) all.push_back(aio::create_task(user()));
        for (const auto& each : all) co_await each;
        CHECK(most == 1);
        CHECK(passed == 100'000);
    });
}

TEST_CASE("mutex: debug mode reports a guard whose co_await was forgotten, with its task") {
    for (const bool debug : {true, false}) {
        std::string text;
        {
            const captured_stderr printed;
            auto main = []() -> aio::task<> {
                aio::mutex m;
                const auto guard = m.scoped_acquire();
                co_await aio::yield();
            };
            virtual_run(main(), aio::run_options{.debug = debug, .virtual_time = true});
            text = printed.text();
        }
        CHECK(contains(text, "acquire() or scoped_acquire() of a mutex was never awaited") == debug);
        CHECK(contains(text, "Task-1") == debug);
        CHECK(contains(text, "mutex.test.cpp:") == debug);
    }
}

TEST_CASE("mutex: what is awaited, passed on or not needed any more is no forgotten guard") {
    std::string text;
    {
        const captured_stderr printed;
        auto main = []() -> aio::task<> {
            aio::mutex m;
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

// Holders, in debug mode

namespace {

constexpr aio::run_options debug_mode{.debug = true, .virtual_time = true};

/// What debug mode reports of `main(reports)`.
template<class Main>
std::vector<std::string> reported(Main main) {
    std::vector<std::string> found;
    auto whole = [&]() -> aio::task<> {
        aio::get_running_loop().set_report_handler(
            [&found](aio::event_loop&, const aio::exception_context& context) { found.push_back(context.message); });
        co_await main();
    };
    virtual_run(whole(), debug_mode);
    return found;
}

std::string in_line(unsigned line) { return std::string(__FILE__) + ":" + std::to_string(line); }

unsigned line_of_first = 0;
unsigned line_of_second = 0;
aio::task<> takes_two(aio::mutex& first, aio::mutex& second) {
    line_of_first = __LINE__ + 1;
    const auto one = co_await first.scoped_acquire();
    co_await aio::sleep(1s);
    line_of_second = __LINE__ + 1;
    const auto two = co_await second.scoped_acquire();
}

} // namespace

TEST_CASE("mutex: debug mode reports a cycle of tasks that wait for each other once, with all its lines") {
    const auto reports = reported([]() -> aio::task<> {
        aio::mutex fork[3];
        std::vector<aio::task_handle<>> all;
        for (int i = 0; i < 3; ++i)
            all.push_back(aio::create_task(takes_two(fork[i], fork[(i + 1) % 3]), "philosopher " + std::to_string(i)));
        co_await aio::sleep(10s);
        for (auto& each : all) each.cancel();
        co_await aio::wait(all);
    });
    const std::string waits = " waits at " + in_line(line_of_second) + " for a lock held by philosopher ";
    const std::string since = " since " + in_line(line_of_first);
    REQUIRE(reports.size() == 1);
    CHECK(reports[0] == "lock cycle: 3 tasks wait for each other\n  philosopher 2" + waits + "0" + since +
                            "\n  philosopher 0" + waits + "1" + since + "\n  philosopher 1" + waits + "2" + since +
                            "\n  (unless another task releases one of them)");
}

TEST_CASE("mutex: debug mode reports a task that waits for itself") {
    unsigned line = 0;
    unsigned again = 0;
    const auto reports = reported([&]() -> aio::task<> {
        aio::mutex m;
        auto twice = [&]() -> aio::task<> {
            CHECK(m.try_acquire());
            line = __LINE__ - 1;
            again = __LINE__ + 1;
            co_await m.acquire();
        };
        const auto task = aio::create_task(twice(), "selfish");
        co_await aio::sleep(1s);
        m.release(); // which is allowed, and why it is a report and not an error
        co_await task;
    });
    REQUIRE(reports.size() == 1);
    CHECK(reports[0] == "lock cycle: a task waits for itself\n  selfish waits at " + in_line(again) +
                            " for a lock held by selfish since " + in_line(line) +
                            "\n  (unless another task releases one of them)");
}

namespace {

/// Holds `mine` while it waits for `other`, and then releases both.
template<class Lock>
aio::task<> holds_and_waits(Lock& mine, Lock& other) {
    const auto one = co_await mine.scoped_acquire();
    const auto two = co_await other.scoped_acquire();
}
template<class Lock>
aio::task<> takes(Lock& lock) {
    const auto guard = co_await lock.scoped_acquire();
}

/// The second in line waits for what this one has just released to the first in line, and holds what this one waits for.
template<class Lock>
aio::task<> releases_to_another() {
    Lock a;
    Lock b;
    co_await a.acquire();
    const auto first = aio::create_task(takes(a));
    const auto second = aio::create_task(holds_and_waits(b, a));
    co_await aio::sleep(1s);
    a.release();
    co_await b.acquire();
    b.release();
    co_await first;
    co_await second;
}
/// The other one was cancelled, and has not run yet.
template<class Lock>
aio::task<> waits_for_a_cancelled_one() {
    Lock a;
    Lock b;
    co_await a.acquire();
    const auto other = aio::create_task(holds_and_waits(b, a));
    co_await aio::sleep(1s);
    other.cancel();
    co_await b.acquire();
    b.release();
    a.release();
}
/// The other one waits for something else by now.
template<class Lock>
aio::task<> waits_for_a_sleeping_one() {
    Lock a;
    Lock b;
    co_await a.acquire();
    auto sleeps = [&]() -> aio::task<> {
        co_await holds_and_waits(b, a);
        co_await b.acquire();
        co_await aio::sleep(9s);
        b.release();
    };
    const auto other = aio::create_task(sleeps());
    co_await aio::sleep(1s);
    a.release();
    co_await aio::sleep(1s);
    co_await a.acquire();
    co_await b.acquire();
    a.release();
    co_await other;
}

} // namespace

TEMPLATE_TEST_CASE("mutex: debug mode reports no cycle where there is none", "", aio::mutex, aio::semaphore) {
    CHECK(reported([] { return releases_to_another<TestType>(); }).empty());
    CHECK(reported([] { return waits_for_a_cancelled_one<TestType>(); }).empty());
    CHECK(reported([] { return waits_for_a_sleeping_one<TestType>(); }).empty());
    CHECK(reported([]() -> aio::task<> {
              TestType a;
              TestType b;
              const auto one = aio::create_task(holds_and_waits(a, b));
              const auto two = aio::create_task(holds_and_waits(a, b)); // in one order
              co_await one;
              co_await two;
          }).empty());
}

TEST_CASE("mutex: in debug mode a dump says who holds it, and a long wait does") {
    std::string dump;
    std::string free;
    unsigned line = 0;
    auto main = [&]() -> aio::task<> {
        aio::get_running_loop().set_slow_wait_duration(4s);
        aio::mutex m;
        auto holder = [&]() -> aio::task<> {
            line = __LINE__ + 1;
            const auto guard = co_await m.scoped_acquire();
            for (int i = 0; i < 5; ++i) co_await aio::sleep(1s);
        };
        auto waiter = [&]() -> aio::task<> { co_await m.acquire(); };
        co_await aio::sleep(1s);
        const auto one = aio::create_task(holder(), "the holder");
        const auto two = aio::create_task(waiter(), "the waiter");
        co_await aio::sleep(2s);
        std::ostringstream out;
        aio::dump_tasks(out);
        dump = out.str();
        co_await one;
        co_await two;
        const auto three = aio::create_task(waiter(), "the last");
        co_await aio::sleep(1s);
        std::ostringstream then;
        aio::dump_tasks(then);
        free = then.str();
        m.release();
        co_await three;
    };
    const captured_stderr printed;
    virtual_run(main(), debug_mode);
    const std::string held = " held by the holder since " + in_line(line);
    CHECK(contains(dump, "the waiter: waiting for mutex" + held + ", for 2.000 seconds\n"));
    CHECK(contains(free, "the last: waiting for mutex held by a task that has ended since "));
    CHECK(contains(printed.text(), "asynchio: the waiter has waited 4.000 seconds for mutex" + held));
}

TEST_CASE("mutex: debug mode does not change who gets it, and when") {
    std::vector<trace> logs;
    for (const bool debug : {false, true}) {
        trace log;
        auto main = [&]() -> aio::task<> {
            aio::mutex m;
            auto count = std::make_unique<iterations>();
            co_await m.acquire();
            CHECK(count->passed() == 0);
            CHECK(!m.try_acquire());
            m.release();
            CHECK(m.try_acquire());
            m.release();
            count.reset(); // which lets no time pass
            std::vector<aio::task_handle<>> all;
            for (const char* each : {"a", "b", "c"}) all.push_back(aio::create_task(holds(m, each, log)));
            co_await aio::yield();
            all[1].cancel();
            CHECK(m.locked());
            co_await aio::wait(all);
            CHECK(!m.locked());
        };
        virtual_run(main(), {.debug = debug, .virtual_time = true});
        logs.push_back(log);
    }
    CHECK(logs[0] == logs[1]);
    CHECK(logs[0] == trace{"a", "c"});
}
