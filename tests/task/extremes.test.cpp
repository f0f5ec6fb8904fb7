// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/virtual_run.hpp"

#include <asynchio.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ratio>
#include <stdexcept>
#include <vector>

// Times and counts at the ends of their ranges, in everything that takes one.

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

using seconds = std::chrono::duration<double>;
using years = std::chrono::duration<std::uint64_t, std::ratio<31'556'952>>;

const seconds not_a_number(std::numeric_limits<double>::quiet_NaN());
const seconds infinity(std::numeric_limits<double>::infinity());

aio::task<> for_ever() {
    const aio::future<> never;
    co_await never;
}

/// Expects `wait` to be the longest there is: after a year something else comes first.
template<class D>
aio::task<> is_long(D wait) {
    auto& loop = aio::get_running_loop();
    int calls = 0;
    auto timer = loop.call_later(wait, [&] { ++calls; });
    const auto sleeps = aio::create_task(aio::sleep(wait));
    const auto limited = aio::create_task(aio::wait_for(for_ever(), wait));
    auto in_time = for_ever;
    const auto block = aio::create_task(aio::with(aio::timeout(wait), in_time));
    co_await aio::sleep(24h * 365);
    CHECK(calls == 0);
    CHECK_FALSE(sleeps.done());
    CHECK_FALSE(limited.done());
    CHECK_FALSE(block.done());
    timer.cancel();
    sleeps.cancel();
    limited.cancel();
    block.cancel();
}

/// Expects `wait` to be over at once.
template<class D>
aio::task<> is_over(D wait) {
    auto& loop = aio::get_running_loop();
    const auto begin = loop.time();
    int calls = 0;
    loop.call_later(wait, [&] { ++calls; });
    co_await aio::sleep(wait);
    co_await aio::yield();
    CHECK(calls == 1);
    CHECK_THROWS_AS(co_await aio::wait_for(for_ever(), wait), aio::timeout_error);
    auto body = for_ever;
    CHECK_THROWS_AS(co_await aio::with(aio::timeout(wait), body), aio::timeout_error);
    CHECK(loop.time() == begin);
}

} // namespace

TEST_CASE("extremes: the longest of every duration saturates") {
    virtual_run(is_long(infinity));
    virtual_run(is_long(std::chrono::nanoseconds::max()));
    virtual_run(is_long(std::chrono::hours::max()));
    virtual_run(is_long(years::max()));
    virtual_run(is_long(seconds::max()));
}

TEST_CASE("extremes: the shortest of every duration is over at once") {
    virtual_run(is_over(-infinity));
    virtual_run(is_over(std::chrono::nanoseconds::min()));
    virtual_run(is_over(std::chrono::hours::min()));
    virtual_run(is_over(seconds::min()));
    virtual_run(is_over(seconds(-0.0)));
}

TEST_CASE("extremes: a NaN is an invalid argument, wherever it is given") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        using when = std::chrono::time_point<aio::clock, seconds>;
        CHECK_THROWS_AS(loop.call_later(not_a_number, [] {}), std::invalid_argument);
        CHECK_THROWS_AS(loop.call_at(when(not_a_number), [] {}), std::invalid_argument);
        CHECK_THROWS_AS(aio::sleep(not_a_number), std::invalid_argument);
        CHECK_THROWS_AS(aio::sleep(not_a_number, 1), std::invalid_argument);
        CHECK_THROWS_AS(aio::sleep_until(when(not_a_number)), std::invalid_argument);
        CHECK_THROWS_AS(aio::wait_for(aio::yield(), not_a_number), std::invalid_argument);
        CHECK_THROWS_AS(aio::wait_for(aio::yield(), std::optional(not_a_number)), std::invalid_argument);
        CHECK_THROWS_AS(aio::timeout(not_a_number), std::invalid_argument);
        CHECK_THROWS_AS(aio::timeout(std::optional(not_a_number)), std::invalid_argument);
        CHECK_THROWS_AS(aio::move_on_after(not_a_number), std::invalid_argument);
        std::vector<aio::task_handle<>> handles{aio::create_task(aio::yield())};
        CHECK_THROWS_AS(aio::wait(handles, aio::all_completed, not_a_number), std::invalid_argument);
        CHECK_THROWS_AS(aio::as_completed(handles, not_a_number), std::invalid_argument);
        co_await aio::wait(handles);
    });
    aio::threadsafe_queue<int> queue(1);
    CHECK_THROWS_AS(queue.blocking_put_for(1, not_a_number), std::invalid_argument);
    CHECK_THROWS_AS(queue.blocking_get_for(not_a_number), std::invalid_argument);
}

TEST_CASE("extremes: the first and the last point in time") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        int first = 0;
        int last = 0;
        loop.call_at(aio::time_point::min(), [&] { ++first; });
        auto late = loop.call_at(aio::time_point::max(), [&] { ++last; });
        co_await aio::sleep_until(aio::time_point::min());
        co_await aio::yield();
        CHECK(first == 1);
        auto body = for_ever;
        CHECK_THROWS_AS(co_await aio::with(aio::timeout_at(aio::time_point::min()), body), aio::timeout_error);
        co_await aio::sleep(24h);
        CHECK(last == 0);
        late.cancel();
    });
}

TEST_CASE("extremes: the first and the last point in time, by the clock on the wall", "[time]") {
    const watchdog guard;
    const audited afterwards;
    aio::event_loop loop;
    auto late = loop.call_at(aio::time_point::max(), [] {});
    auto later = loop.call_later(std::chrono::hours::max(), [] {});
    loop.call_at(aio::time_point::min(), [&loop] { loop.stop(); });
    loop.run_forever();
    loop.call_later(1ms, [&loop] { // while it sleeps
        loop.call_at(aio::time_point::min(), [&loop] { loop.stop(); });
    });
    loop.run_forever();
    late.cancel();
    later.cancel();
}

TEST_CASE("extremes: a thread waits for ever, not at all, or is told of a NaN") {
    const watchdog guard;
    aio::event_loop loop;
    const auto started = aio::run_coroutine_threadsafe([]() -> aio::task<int> { co_return 3; }, loop.ref());
    CHECK_FALSE(started.wait_for(std::chrono::hours::min()));
    CHECK_FALSE(started.wait_for(-infinity));
    CHECK_THROWS_AS(started.wait_for(not_a_number), std::invalid_argument);
    loop.call_later(1ms, [&loop] { loop.stop(); });
    loop.run_forever();
    CHECK(started.wait_for(std::chrono::hours::max()));
    CHECK(started.wait_for(infinity));
    CHECK(started.get() == 3);
}

TEST_CASE("extremes: counts") {
    constexpr auto most = std::numeric_limits<std::ptrdiff_t>::max();
    constexpr auto least = std::numeric_limits<std::ptrdiff_t>::min();
    CHECK_THROWS_AS(aio::semaphore(-1), std::invalid_argument);
    CHECK_THROWS_AS(aio::semaphore(least), std::invalid_argument);
    CHECK_THROWS_AS(aio::bounded_semaphore(least), std::invalid_argument);
    CHECK_THROWS_AS(aio::barrier(0), std::invalid_argument);
    CHECK_THROWS_AS(aio::barrier(least), std::invalid_argument);
    virtual_run([]() -> aio::task<> {
        aio::semaphore permits(most);
        CHECK_THROWS_AS(permits.release(), std::invalid_argument);
        co_await permits.acquire();
        permits.release();
        CHECK_THROWS_AS(permits.release(), std::invalid_argument);
        aio::barrier crowd(most);
        CHECK_THROWS_AS(co_await aio::wait_for(crowd.wait(), 1ms), aio::timeout_error);
        CHECK(crowd.broken() == false);
        aio::queue<int> queue(std::numeric_limits<std::size_t>::max());
        co_await queue.put(1);
        CHECK_FALSE(queue.full());
        aio::condition changed;
        co_await changed.acquire();
        changed.notify(std::numeric_limits<std::size_t>::max());
        changed.release();
    });
}
