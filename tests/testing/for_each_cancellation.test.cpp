// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/for_each_cancellation.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"

#include <chrono>
#include <coroutine>
#include <source_location>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using aio::testing::cancellation_plan;
using aio::testing::for_each_cancellation;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using namespace std::chrono_literals;

namespace {

aio::task<> naps(int times) {
    for (int i = 0; i < times; ++i) co_await aio::sleep(1s);
}

/// An awaiter with a mistake: asked to give up, it refuses, but takes back what would have woken it.
class deaf final : public aio::suspension {
public:
    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        aio::event_loop& loop = aio::get_running_loop();
        timer_ = loop.call_later(1s, [this] { wake(); });
        park(coroutine, where);
    }
    void await_resume() { resumed(); }
    const char* waiting_for() const noexcept override { return "a deaf awaiter"; }
    aio::cancel_reply cancel(const aio::detail::shared_text&) noexcept override {
        timer_.cancel();
        return aio::cancel_reply::refused;
    }

private:
    aio::timer_handle timer_;
};

} // namespace

TEST_CASE("for_each_cancellation: what ends at once is cancelled nowhere") {
    int runs = 0;
    const auto report = for_each_cancellation([&]() -> aio::task<> {
        ++runs;
        return naps(0);
    });
    CHECK(report.points == 0);
    CHECK(report.cancelled == 0);
    CHECK(report.failed == 0);
    CHECK(runs == 1);
}

TEST_CASE("for_each_cancellation: meets every point before and after each wake-up") {
    // A sleep has two: parked, and woken but not yet run on.
    for (const int times : {1, 2, 5}) {
        int runs = 0;
        const auto report = for_each_cancellation([&] {
            ++runs;
            return naps(times);
        });
        const auto expected = static_cast<std::size_t>(2 * times);
        CHECK(report.points == expected);
        CHECK(report.cancelled == expected);
        CHECK(report.failed == 0);
        CHECK(runs == 2 * times + 1);
    }
    const auto yields = for_each_cancellation([]() -> aio::task<> {
        co_await aio::yield();
        co_await aio::yield();
        co_await aio::yield();
    });
    CHECK(yields.points == 3);
    CHECK(yields.cancelled == 3);
}

TEST_CASE("for_each_cancellation: the steps of all tasks are points") {
    // Steps: main, child (parked), the timer, the child's end, and then main has run on.
    const auto report = for_each_cancellation([]() -> aio::task<> {
        const auto child = aio::create_task(naps(1));
        co_await child;
    });
    CHECK(report.points == 4);
    CHECK(report.cancelled == 4);
}

TEST_CASE("for_each_cancellation: counts what the main task makes of it") {
    const auto swallowed = for_each_cancellation([]() -> aio::task<> {
        try {
            co_await aio::sleep(1s);
        } catch (const aio::cancelled_error&) { // as if nothing had happened
        }
    });
    CHECK(swallowed.points == 2);
    CHECK(swallowed.cancelled == 0);
    CHECK(swallowed.failed == 0);

    const auto translated = for_each_cancellation([]() -> aio::task<> {
        try {
            co_await aio::sleep(1s);
        } catch (const aio::cancelled_error&) {
            throw std::runtime_error("translated");
        }
    });
    CHECK(translated.points == 2);
    CHECK(translated.cancelled == 0);
    CHECK(translated.failed == 2);
}

TEST_CASE("for_each_cancellation: a second request can come into the cleanup") {
    int interrupted = 0;
    const auto scenario = [&]() -> aio::task<> {
        bool again = false;
        try {
            co_await aio::sleep(10s);
        } catch (const aio::cancelled_error&) {
            again = true;
        }
        if (!again) co_return;
        try {
            co_await aio::sleep(1s);
        } catch (const aio::cancelled_error&) {
            ++interrupted;
            throw;
        }
    };
    const auto once = for_each_cancellation(scenario);
    CHECK(interrupted == 0);
    CHECK(once.cancelled == 0);
    cancellation_plan plan;
    plan.second_after = 1;
    const auto twice = for_each_cancellation(scenario, plan);
    CHECK(interrupted == 2);
    CHECK(twice.points == 2);
    CHECK(twice.cancelled == 2);
}

TEST_CASE("for_each_cancellation: children that clean up slowly are waited for") {
    int cleaned = 0;
    const auto child = [&]() -> aio::task<> {
        bool cancelled = false;
        try {
            co_await aio::sleep(1s);
        } catch (const aio::cancelled_error&) {
            cancelled = true;
        }
        if (!cancelled) co_return;
        co_await aio::sleep(5s);
        ++cleaned;
        throw aio::cancelled_error();
    };
    const auto report = for_each_cancellation([&]() -> aio::task<> { co_await aio::gather(child(), child()); });
    CHECK(report.points > 4);
    CHECK(report.cancelled == report.points);
    CHECK(cleaned > 0);
    CHECK(cleaned % 2 == 0);
}

TEST_CASE("for_each_cancellation: runs under the order it is given") {
    std::size_t points = 0;
    for (const std::uint64_t seed : {1U, 2U, 3U}) {
        cancellation_plan plan;
        plan.options = aio::testing::shuffled_order(seed);
        const auto report =
            for_each_cancellation([]() -> aio::task<> { co_await aio::gather(naps(2), naps(3)); }, plan);
        CHECK(report.points > 5);
        if (points == 0) points = report.points;
        CHECK(report.points == points); // other orders, but as many steps
    }
}

TEST_CASE("for_each_cancellation: a scenario that hangs when it is cancelled is reported, with what it waits for") {
    const std::string message = message_of([] {
        for_each_cancellation([]() -> aio::task<> {
            co_await aio::yield();
            co_await deaf();
        });
    });
    CHECK(contains(message, "after step 2"));
    CHECK(contains(message, "hangs"));
    CHECK(contains(message, "waiting for a deaf awaiter"));
    CHECK(contains(message, "for_each_cancellation.test.cpp:"));
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("for_each_cancellation: a scenario that hangs untouched is reported") {
    const std::string message =
        message_of([] { for_each_cancellation([]() -> aio::task<> { co_await aio::future<>(); }); });
    CHECK(contains(message, "hangs"));
    CHECK(contains(message, "waiting for future"));
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("for_each_cancellation: a scenario that leaves something alive is reported") {
    std::vector<aio::task<>> left;
    const std::string message = message_of([&] {
        for_each_cancellation([&]() -> aio::task<> {
            auto rest = naps(1);
            try {
                co_await aio::sleep(1s);
            } catch (const aio::cancelled_error&) {
                left.push_back(std::move(rest));
                throw;
            }
        });
    });
    CHECK(left.size() == 1);
    CHECK(contains(message, "after step 1"));
    CHECK(contains(message, "still alive"));
    CHECK(contains(message, "frames: 1"));
    left.clear();
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("for_each_cancellation: what is alive before does not count") {
    const aio::task<> other = naps(1);
    CHECK(for_each_cancellation([] { return naps(1); }).points == 2);
}

TEST_CASE("for_each_cancellation: what the scenario throws before it gives a task comes out") {
    CHECK(message_of([] { for_each_cancellation([]() -> aio::task<> { throw std::runtime_error("no task"); }); }) ==
          "no task");
    int asked = 0;
    CHECK(message_of([&] {
              for_each_cancellation([&] {
                  if (++asked == 2) throw std::runtime_error("no second task");
                  return naps(1);
              });
          }) == "no second task");
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("for_each_cancellation: a scenario may wait for descriptors that are ready", "[io]") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    REQUIRE(::write(ends[1], "x", 1) == 1);
    const auto report = for_each_cancellation([&]() -> aio::task<> {
        aio::event_loop& loop = aio::get_running_loop();
        const aio::future<> readable;
        loop.add_reader(ends[0], [&] {
            loop.remove_reader(ends[0]);
            if (!readable.done()) readable.set_result();
        });
        try {
            co_await readable;
        } catch (const aio::cancelled_error&) {
            loop.remove_reader(ends[0]);
            throw;
        }
    });
    CHECK(report.points == 2);
    CHECK(report.cancelled == 2);
    ::close(ends[0]);
    ::close(ends[1]);
}
