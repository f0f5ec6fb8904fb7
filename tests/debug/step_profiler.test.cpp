// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/step_profiler.hpp>

// covers: debug/detail/tool_of_loop.hpp
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/yield.hpp>

#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace aio = asynchio;
using aio::debug::step_profile;
using aio::debug::step_profiler;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

void compute(std::chrono::nanoseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {}
}

unsigned line_of_slow = 0;

aio::task<> slow() {
    for (int i = 0; i < 3; ++i) {
        line_of_slow = __LINE__ + 1;
        co_await aio::yield();
        compute(4ms);
    }
}
aio::task<> quick() {
    for (int i = 0; i < 50; ++i) co_await aio::yield();
}

const step_profile* at_line(const std::vector<step_profile>& all, unsigned line) {
    for (const step_profile& each : all)
        if (each.from.line() == line) return &each;
    return nullptr;
}

} // namespace

TEST_CASE("step_profiler: steps, the time in them, and the longest one, most time first", "[time]") {
    virtual_run([]() -> aio::task<> {
        step_profiler profiler;
        const auto one = aio::create_task(slow());
        co_await aio::create_task(quick());
        co_await one;
        profiler.stop();
        const auto all = profiler.profiles();
        REQUIRE(all.size() >= 3);
        for (std::size_t i = 1; i < all.size(); ++i) CHECK(all[i - 1].time >= all[i].time);
        const step_profile* const found = at_line(all, line_of_slow);
        REQUIRE(found != nullptr);
        CHECK(found->steps == 3);
        CHECK(found->time >= 12ms);
        CHECK(found->longest >= 4ms);
        CHECK(found->longest <= found->time);
        std::ostringstream out;
        profiler.print(out);
        CHECK(contains(out.str(), "slow "));
        CHECK(contains(out.str(), "quick "));
    });
}

TEST_CASE("step_profiler: calls of the loop, and what comes after stop()") {
    virtual_run([]() -> aio::task<> {
        step_profiler profiler;
        for (int i = 0; i < 5; ++i) aio::get_running_loop().call_soon([] {});
        co_await aio::yield();
        const step_profile* calls = nullptr;
        const auto all = profiler.profiles();
        for (const step_profile& each : all)
            if (each.from.line() == 0) calls = &each;
        REQUIRE(calls != nullptr);
        CHECK(calls->steps == 5);
        profiler.stop();
        profiler.stop();
        co_await aio::create_task(quick());
        std::uint64_t before = 0;
        std::uint64_t after = 0;
        for (const step_profile& each : all) before += each.steps;
        for (const step_profile& each : profiler.profiles()) after += each.steps;
        CHECK(after == before);
    });
}

TEST_CASE("step_profiler: a second one is refused, and possible when the first has stopped; it may outlive the loop") {
    std::optional<step_profiler> outlives;
    virtual_run([&]() -> aio::task<> {
        {
            step_profiler first;
            CHECK(message_of([] { const step_profiler second; }) ==
                  "step_profiler: this loop has one already; stop or destroy that one first");
            first.stop();
            outlives.emplace();
        } // the end of the first leaves the second alone
        co_await aio::create_task(quick());
    });
    CHECK_FALSE(outlives->profiles().empty());
    outlives->stop();
    CHECK_THROWS_AS(step_profiler(), std::logic_error);
}
