// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/interval.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <chrono>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

using milliseconds = std::vector<long>;

aio::time_point now() { return aio::get_running_loop().time(); }
long since(aio::time_point begin, aio::time_point end) {
    return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(end - begin).count());
}

/// When ticks of 10 ms are scheduled, and when they are taken, with work of so many milliseconds after each.
struct ticked {
    milliseconds scheduled;
    milliseconds taken;
};
ticked work(aio::missed_ticks missed, const milliseconds& works) {
    ticked times;
    virtual_run([&]() -> aio::task<> {
        const auto begin = now();
        aio::interval ticks(10ms, missed);
        for (const long length : works) {
            const aio::time_point tick = co_await ticks.next();
            times.scheduled.push_back(since(begin, tick));
            times.taken.push_back(since(begin, now()));
            co_await aio::sleep(std::chrono::milliseconds(length));
        }
    });
    return times;
}

} // namespace

TEST_CASE("interval: the first tick comes at once, and the others do not drift") {
    for (const auto missed : {aio::missed_ticks::burst, aio::missed_ticks::delay, aio::missed_ticks::skip}) {
        const ticked times = work(missed, {3, 0, 9, 10, 1});
        CHECK(times.scheduled == milliseconds{0, 10, 20, 30, 40});
        CHECK(times.taken == milliseconds{0, 10, 20, 30, 40});
    }
}

TEST_CASE("interval: burst catches up tick by tick") {
    const ticked times = work(aio::missed_ticks::burst, {1, 35, 0, 0, 0, 0, 1});
    CHECK(times.scheduled == milliseconds{0, 10, 20, 30, 40, 50, 60});
    CHECK(times.taken == milliseconds{0, 10, 45, 45, 45, 50, 60});
}

TEST_CASE("interval: delay counts from the late tick") {
    const ticked times = work(aio::missed_ticks::delay, {1, 35, 0, 0, 14, 0, 1});
    CHECK(times.scheduled == milliseconds{0, 10, 20, 55, 65, 75, 89});
    CHECK(times.taken == milliseconds{0, 10, 45, 55, 65, 79, 89});
}

TEST_CASE("interval: skip goes on at the next multiple of the period") {
    const ticked times = work(aio::missed_ticks::skip, {1, 35, 0, 0, 20, 0, 1});
    CHECK(times.scheduled == milliseconds{0, 10, 20, 50, 60, 70, 90});
    CHECK(times.taken == milliseconds{0, 10, 45, 50, 60, 80, 90});
}

TEST_CASE("interval: burst is what it does when nothing is said") {
    virtual_run([]() -> aio::task<> {
        const auto begin = now();
        aio::interval ticks(10ms);
        co_await aio::sleep(25ms);
        for (const long wanted : {0L, 10L, 20L, 30L}) {
            const auto tick = co_await ticks.next();
            CHECK(since(begin, tick) == wanted);
        }
        CHECK(now() - begin == 30ms);
    });
}

TEST_CASE("interval: a loop that is held up during the wait misses ticks, too") {
    // Virtual time stands still in a call, so this is real time; whatever else holds up the loop changes nothing.
    for (const auto missed : {aio::missed_ticks::delay, aio::missed_ticks::skip}) {
        aio::run([missed]() -> aio::task<> {
            aio::interval ticks(2ms, missed);
            const auto begin = co_await ticks.next();
            aio::get_running_loop().call_soon([] {
                const auto end = aio::clock::now() + 9ms;
                while (aio::clock::now() < end) {}
            });
            const auto late = co_await ticks.next();
            const auto taken = now();
            const auto after = co_await ticks.next();
            CHECK(after - late >= 8ms);
            CHECK(after <= taken + 2ms);
            if (missed == aio::missed_ticks::skip) CHECK((after - begin) % 2ms == 0ns);
        });
    }
}

TEST_CASE("interval: a tick that is due already lets others run") {
    virtual_run([]() -> aio::task<> {
        aio::interval ticks(1ms);
        co_await aio::sleep(10ms);
        int others = 0;
        const auto other = aio::create_task([&others]() -> aio::task<> {
            for (; others < 5; co_await aio::yield()) ++others;
        });
        for (int i = 0; i < 5; ++i) co_await ticks.next();
        CHECK(others >= 4);
        co_await other;
    });
}

TEST_CASE("interval: any duration is a period if it is positive") {
    virtual_run([]() -> aio::task<> {
        const auto begin = now();
        aio::interval quarters(std::chrono::duration<double>(0.25));
        CHECK(quarters.period() == 250ms);
        co_await quarters.next();
        const auto second = co_await quarters.next();
        CHECK(second - begin == 250ms);
        aio::interval finest(std::chrono::duration<double, std::nano>(0.1));
        CHECK(finest.period() == 1ns);
        aio::interval hours(1h, aio::missed_ticks::skip);
        co_await hours.next();
        const auto hour = co_await hours.next();
        CHECK(hour - second == 1h);
    });
    CHECK_THROWS_AS(aio::interval(0s), std::invalid_argument);
    CHECK_THROWS_AS(aio::interval(-1ms), std::invalid_argument);
    CHECK_THROWS_AS(aio::interval(std::chrono::duration<double>(-0.5)), std::invalid_argument);
    CHECK_THROWS_AS(aio::interval(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())),
                    std::invalid_argument);
}

TEST_CASE("interval: one whose period is longer than time never ticks again") {
    for (const auto missed : {aio::missed_ticks::burst, aio::missed_ticks::delay, aio::missed_ticks::skip}) {
        virtual_run([missed]() -> aio::task<> {
            aio::interval ticks(std::chrono::duration<double>(std::numeric_limits<double>::infinity()), missed);
            co_await aio::sleep(1ms);
            co_await ticks.next();
            const auto ended = co_await aio::nothrow(aio::wait_for(ticks.next(), 24h * 365));
            CHECK_THROWS_AS(ended.rethrow(), aio::timeout_error);
        });
    }
}

TEST_CASE("interval: a cancelled wait takes no tick") {
    for (const auto missed : {aio::missed_ticks::burst, aio::missed_ticks::delay, aio::missed_ticks::skip}) {
        virtual_run([missed]() -> aio::task<> {
            aio::interval ticks(10ms, missed);
            const auto begin = co_await ticks.next();
            const auto early = co_await aio::nothrow(aio::wait_for(ticks.next(), 4ms));
            CHECK_THROWS_AS(early.rethrow(), aio::timeout_error);
            const auto second = co_await ticks.next();
            CHECK(second - begin == 10ms);
            CHECK(now() - begin == 10ms);
            const auto waiting = aio::create_task([&ticks]() -> aio::task<> { co_await ticks.next(); });
            co_await aio::sleep(10ms); // its timer has run, and its step comes behind this one
            CHECK_FALSE(waiting.done());
            waiting.cancel();
            co_await aio::nothrow(waiting);
            CHECK(waiting.cancelled());
            const auto third = co_await ticks.next();
            CHECK(third - begin == 20ms);
        });
    }
}

TEST_CASE("interval: cancelled at every step, no tick is lost") {
    struct ledger {
        long last = -1;
        bool in_order = true;
    } seen;
    const auto met = aio::testing::for_each_cancellation([&seen]() -> aio::task<> {
        seen.last = -1;
        const auto begin = now();
        aio::interval ticks(10ms);
        std::exception_ptr error;
        for (int i = 0; i < 5; ++i) {
            try {
                const auto tick = co_await ticks.next();
                const long at = since(begin, tick) / 10;
                seen.in_order = seen.in_order && at == seen.last + 1;
                seen.last = at;
                co_await aio::sleep(i == 2 ? 25ms : 1ms);
            } catch (const aio::cancelled_error&) {
                error = std::current_exception();
            }
        }
        if (error) std::rethrow_exception(error);
    });
    CHECK(met.points > 10);
    CHECK(met.cancelled == met.points);
    CHECK(seen.in_order);
    CHECK(seen.last == 4);
}

TEST_CASE("interval: tasks that wait at the same time get the same tick") {
    virtual_run([]() -> aio::task<> {
        aio::interval ticks(10ms);
        const auto begin = co_await ticks.next();
        const auto take = [&ticks]() -> aio::task<aio::time_point> { co_return co_await ticks.next(); };
        const auto one = aio::create_task(take), two = aio::create_task(take);
        const auto first = co_await one;
        const auto second = co_await two;
        CHECK(first - begin == 10ms);
        CHECK(second == first);
        const auto third = co_await ticks.next();
        CHECK(third - begin == 20ms);
        auto kept = ticks.next();
        co_await ticks.next();
        co_await ticks.next();
        const auto old = co_await std::move(kept); // moves nothing back
        CHECK(old - begin == 30ms);
        const auto after = co_await ticks.next();
        CHECK(after - begin == 50ms);
    });
}

TEST_CASE("interval: 100,000 ticks end where they should", "[stress]") {
    virtual_run([]() -> aio::task<> {
        const auto begin = now();
        aio::interval ticks(7ms, aio::missed_ticks::skip);
        for (int i = 0; i <= 100'000; ++i) co_await ticks.next();
        CHECK(now() - begin == 100'000 * 7ms);
    });
}
