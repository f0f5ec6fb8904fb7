// SPDX-License-Identifier: BSL-1.0
// covers: yield.hpp

#include <asynchio/task/sleep.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/yield.hpp>

#include <memory>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> note_after(aio::duration time, std::string name, trace& log) {
    co_await aio::sleep(time);
    log.push_back(name);
}

aio::time_point now() { return aio::get_running_loop().time(); }
std::size_t timers() { return aio::get_running_loop().pending_timers(); }

} // namespace

TEST_CASE("sleep: takes as long as it was asked to", "[SLEEP-1]") {
    virtual_run([]() -> aio::task<> {
        const auto begin = now();
        co_await aio::sleep(1500ms);
        CHECK(now() - begin == 1500ms);
        co_await aio::sleep(2h);
        CHECK(now() - begin == 2h + 1500ms);
        co_await aio::sleep(std::chrono::duration<double>(0.25));
        CHECK(now() - begin == 2h + 1750ms);
    });
}

TEST_CASE("sleep: takes no less than it was asked to in real time", "[SLEEP-1][time]") {
    const auto begin = std::chrono::steady_clock::now();
    aio::run([]() -> aio::task<> { co_await aio::sleep(20ms); });
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
}

TEST_CASE("sleep: gives its second argument", "[SLEEP-1]") {
    virtual_run([]() -> aio::task<> {
        const int number = co_await aio::sleep(1ms, 42);
        CHECK(number == 42);
        auto owned = std::make_unique<int>(7);
        const std::unique_ptr<int> got = co_await aio::sleep(0ms, std::move(owned));
        CHECK(*got == 7);
    });
}

TEST_CASE("sleep: destroys its result exactly once, cancelled or not", "[SLEEP-1][SLEEP-4]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const counted given(5);
        const counted got = co_await aio::sleep(1ms, given);
        CHECK(got.value == 5);
        auto sleeper = aio::create_task([given]() -> aio::task<int> {
            const counted never = co_await aio::sleep(1h, given);
            co_return never.value;
        });
        co_await aio::yield();
        sleeper.cancel();
        co_await aio::yield();
        CHECK(sleeper.cancelled());
        CHECK(counted::alive == 2);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("sleep: of nothing or less gives way once, without a timer", "[SLEEP-2][TASK-5]") {
    virtual_run([]() -> aio::task<> {
        const auto begin = now();
        const iterations count;
        co_await aio::sleep(0s);
        CHECK(count.passed() == 1);
        co_await aio::sleep(-5s);
        CHECK(count.passed() == 2);
        co_await aio::yield();
        CHECK(count.passed() == 3);
        co_await aio::sleep_until(begin);
        CHECK(count.passed() == 4);
        co_await aio::sleep_until(begin - 1h);
        CHECK(count.passed() == 5);
        CHECK(now() == begin);
        CHECK(timers() == 0);
    });
}

TEST_CASE("yield: puts the task behind all that is ready", "[TASK-5][SLEEP-2]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        loop.call_soon([&] {
            log.push_back("first");
            loop.call_soon([&log] { log.push_back("third"); });
        });
        co_await aio::yield();
        log.push_back("second");
        co_await aio::sleep(0s);
        log.push_back("fourth");
    });
    CHECK(log == trace{"first", "second", "third", "fourth"});
}

TEST_CASE("sleep: a time beyond the clock's range waits, and can be cancelled", "[SLEEP-1]") {
    virtual_run([]() -> aio::task<> {
        auto forever = aio::create_task(aio::sleep(std::chrono::hours::max()));
        auto absolute = aio::create_task(aio::sleep_until(aio::time_point::max()));
        co_await aio::sleep(24h);
        CHECK_FALSE(forever.done());
        CHECK_FALSE(absolute.done());
        forever.cancel();
        absolute.cancel();
        co_await aio::yield();
        CHECK(forever.cancelled());
        CHECK(absolute.cancelled());
    });
}

TEST_CASE("sleep: a cancelled one takes its timer away at once", "[SLEEP-4][CAN-28][FUT-28]") {
    virtual_run([]() -> aio::task<> {
        const auto begin = now();
        auto sleeper = aio::create_task(aio::sleep(1h));
        co_await aio::yield();
        CHECK(timers() == 1);
        sleeper.cancel();
        CHECK(timers() == 0);
        co_await aio::yield();
        CHECK(sleeper.cancelled());
        CHECK(now() == begin);
    });
}

TEST_CASE("sleep: sleepers end in the order of their deadlines", "[SLEEP-5]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        aio::create_task(note_after(30ms, "30", log));
        aio::create_task(note_after(10ms, "10", log));
        aio::create_task(note_after(40ms, "40", log));
        aio::create_task(note_after(20ms, "20", log));
        co_await aio::sleep(1s);
    });
    CHECK(log == trace{"10", "20", "30", "40"});
}

TEST_CASE("sleep: equal deadlines end in the order in which they were set", "[SLEEP-5][LOOP-8]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        for (const char* name : {"a", "b", "c", "d"}) aio::create_task(note_after(10ms, name, log));
        co_await aio::sleep(1s);
    });
    CHECK(log == trace{"a", "b", "c", "d"});
}

TEST_CASE("sleep: the sleeper runs one iteration after its timer", "[SLEEP-6]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        aio::create_task(note_after(10ms, "sleeper", log));
        co_await aio::yield();
        loop.call_later(10ms, [&] {
            log.push_back("timer");
            loop.call_soon([&log] { log.push_back("next iteration"); });
        });
        co_await aio::sleep(1s);
    });
    CHECK(log == trace{"timer", "sleeper", "next iteration"});
}

TEST_CASE("sleep: cancelled in the iteration of its deadline", "[SLEEP-4][CAN-9]") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        aio::task_handle<> sleeper;
        loop.call_later(10ms, [&sleeper] { CHECK(sleeper.cancel()); }); // runs before the sleeper's own timer
        sleeper = aio::create_task(aio::sleep(10ms));
        co_await aio::yield();
        auto second = aio::create_task(aio::sleep(10ms));
        co_await aio::yield();
        loop.call_later(10ms, [&second] { CHECK(second.cancel()); }); // runs after it
        co_await aio::sleep(20ms);
        CHECK(sleeper.cancelled());
        CHECK(second.cancelled());
        CHECK(timers() == 0);
    });
}

TEST_CASE("sleep_until: wakes at a point in time", "[SLEEP-1]") {
    virtual_run([]() -> aio::task<> {
        const auto deadline = now() + 3s;
        co_await aio::sleep(1s);
        co_await aio::sleep_until(deadline);
        CHECK(now() == deadline);
    });
}

TEST_CASE("sleep: an awaitable that is never awaited does nothing", "[SLEEP-1]") {
    virtual_run([]() -> aio::task<> {
        {
            const auto unused = aio::sleep(1h);
            const auto with_result = aio::sleep(1h, 1);
        }
        CHECK(timers() == 0);
        co_return;
    });
}

TEST_CASE("sleep: 100,000 times", "[SLEEP-2]") {
    virtual_run([]() -> aio::task<> {
        const auto begin = now();
        for (int i = 0; i < 100'000; ++i) co_await aio::yield();
        for (int i = 0; i < 100'000; ++i) co_await aio::sleep(1us);
        CHECK(now() - begin == 100ms);
    });
}

TEST_CASE("sleep: 10,000 at once, cancelled at once", "[SLEEP-4]") {
    virtual_run([]() -> aio::task<> {
        std::vector<aio::task_handle<>> sleepers;
        for (int i = 0; i < 10'000; ++i) sleepers.push_back(aio::create_task(aio::sleep(std::chrono::seconds(i + 1))));
        co_await aio::yield();
        CHECK(timers() == 10'000);
        for (const auto& each : sleepers) each.cancel();
        CHECK(timers() == 0);
        co_await aio::yield();
        int cancelled = 0;
        for (const auto& each : sleepers) cancelled += each.cancelled() ? 1 : 0;
        CHECK(cancelled == 10'000);
    });
}
