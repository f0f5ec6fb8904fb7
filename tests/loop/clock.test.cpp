// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/clock.hpp>

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/sleep.hpp>

#include "support/virtual_run.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>
#include <stdexcept>
#include <utility>

namespace aio = asynchio;
using aio::detail::far_future;
using aio::detail::later;
using aio::detail::to_nanoseconds;
using namespace std::chrono_literals;

TEST_CASE("clock: durations are rounded up, so that a wait is never too short") {
    STATIC_REQUIRE(to_nanoseconds(5ns) == 5);
    STATIC_REQUIRE(to_nanoseconds(5us) == 5000);
    STATIC_REQUIRE(to_nanoseconds(2h) == 7'200'000'000'000);
    CHECK(to_nanoseconds(std::chrono::duration<double>(1.5)) == 1'500'000'000);
    CHECK(to_nanoseconds(std::chrono::duration<double, std::nano>(0.1)) == 1);
    CHECK(to_nanoseconds(std::chrono::duration<std::int64_t, std::pico>(1)) == 1);
    CHECK(to_nanoseconds(std::chrono::duration<std::int64_t, std::pico>(1000)) == 1);
    CHECK(to_nanoseconds(std::chrono::duration<std::int64_t, std::pico>(1001)) == 2);
    CHECK(to_nanoseconds(std::chrono::duration<double, std::nano>(-0.5)) == 0);
    CHECK(to_nanoseconds(-3us) == -3000);
}

TEST_CASE("clock: durations that no counter holds end at the range's end", "[LOOP-12]") {
    CHECK(to_nanoseconds(std::chrono::hours::max()) == far_future);
    CHECK(to_nanoseconds(std::chrono::hours::min()) == -far_future);
    CHECK(to_nanoseconds(std::chrono::nanoseconds::max()) == far_future);
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK(to_nanoseconds(std::chrono::duration<double>(infinity)) == far_future);
    CHECK(to_nanoseconds(std::chrono::duration<double>(-infinity)) == -far_future);
    CHECK(to_nanoseconds(std::chrono::duration<std::uint64_t, std::ratio<31'556'952>>::max()) == far_future);
    CHECK(to_nanoseconds(std::chrono::duration<std::int64_t, std::atto>::max()) == 9'223'372'037);
    CHECK(to_nanoseconds(std::chrono::duration<long double>::max()) == far_future);
    CHECK(to_nanoseconds(std::chrono::duration<float>::min()) == -far_future);
}

TEST_CASE("clock: what is not a number is no duration", "[LOOP-12]") {
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    CHECK_THROWS_AS(to_nanoseconds(nan), std::invalid_argument);
    CHECK_THROWS_AS(to_nanoseconds(std::chrono::time_point<aio::clock, std::chrono::duration<double>>(nan)),
                    std::invalid_argument);
    STATIC_REQUIRE(noexcept(to_nanoseconds(std::declval<std::chrono::hours>())));
    STATIC_REQUIRE_FALSE(noexcept(to_nanoseconds(nan)));
}

TEST_CASE("clock: adding to a time does not overflow", "[LOOP-12]") {
    STATIC_REQUIRE(later(10, 5) == 15);
    STATIC_REQUIRE(later(10, 0) == 10);
    STATIC_REQUIRE(later(10, -5) == 10);
    STATIC_REQUIRE(later(10, far_future) == far_future);
    STATIC_REQUIRE(later(10, far_future - 10) == far_future);
    STATIC_REQUIRE(later(far_future, 1) == far_future);
    STATIC_REQUIRE(later(10, std::numeric_limits<std::int64_t>::min()) == 10);
}

TEST_CASE("clock: outside of a loop it is the steady clock") {
    STATIC_REQUIRE(aio::clock::is_steady);
    const auto before = std::chrono::steady_clock::now().time_since_epoch();
    const auto now = aio::clock::now().time_since_epoch();
    const auto after = std::chrono::steady_clock::now().time_since_epoch();
    CHECK(before <= now);
    CHECK(now <= after);
}

TEST_CASE("clock: inside of a loop it is that loop's", "[LOOP-11]") {
    asynchio_tests::virtual_run([]() -> aio::task<> {
        const aio::time_point begin = aio::clock::now();
        CHECK(begin == aio::get_running_loop().time());
        co_await aio::sleep(3h);
        CHECK(aio::clock::now() - begin == 3h);
        CHECK(aio::clock::now() == aio::get_running_loop().time());
    });
}

TEST_CASE("clock: a loop's real time never goes back and is the steady clock's", "[LOOP-11][time]") {
    const aio::event_loop loop;
    aio::time_point last = loop.time();
    for (int i = 0; i < 1000; ++i) {
        const aio::time_point now = loop.time();
        REQUIRE(now >= last);
        last = now;
    }
    const auto steady = std::chrono::steady_clock::now().time_since_epoch();
    CHECK(steady - last.time_since_epoch() >= 0ns);
    CHECK(steady - last.time_since_epoch() < 10s);
}
