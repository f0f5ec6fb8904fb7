// SPDX-License-Identifier: BSL-1.0
// The tools that look at steps, and the notes of debug mode, when memory runs out: the program goes on, and what they tell
// is not wrong, but may be less.
#include <asynchio/debug/step_profiler.hpp>
#include <asynchio/debug/trace.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/operator_new.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <unistd.h>

namespace aio = asynchio;
using asynchio_tests::contains;
using aio::testing::allocation_faults;

namespace {

int steps_made = 0;

aio::task<> yields() {
    for (int i = 0; i < 3; ++i) {
        co_await aio::yield();
        ++steps_made;
    }
}

/// Twelve steps behind a co_await, if there is memory for their coroutines.
aio::task<> four_tasks() {
    steps_made = 0;
    co_await aio::gather(yields(), yields(), yields(), yields());
}

/// Lets each allocation of `scenario` fail, and then all from each one on. What the scenario throws is std::bad_alloc.
template<class Scenario>
std::size_t starve(Scenario scenario, bool debug = false) {
    std::size_t points = 0;
    const asynchio_tests::captured_stderr what_is_missing;
    for (const bool all_later : {false, true}) {
        aio::testing::allocation_plan plan;
        plan.all_later = all_later;
        plan.options.debug = debug;
        const auto met = aio::testing::for_each_allocation_failure(scenario, plan);
        for (const std::exception_ptr& each : met.errors) CHECK_THROWS_AS(std::rethrow_exception(each), std::bad_alloc);
        points += met.points;
    }
    return points;
}

} // namespace

TEST_CASE("without_memory: a step_profiler lacks steps at most") {
    std::uint64_t fewest = ~std::uint64_t(0);
    const std::size_t points = starve([&fewest]() -> aio::task<> {
        aio::debug::step_profiler profiler;
        co_await four_tasks();
        profiler.stop();
        const allocation_faults::pause own_business;
        std::uint64_t counted = 0;
        for (const aio::debug::step_profile& each : profiler.profiles()) counted += each.steps;
        CHECK(counted <= 40);
        if (counted < fewest) fewest = counted;
    });
    CHECK(points > 10);
    CHECK(fewest < 12); // some rows had no memory
}

TEST_CASE("without_memory: a trace lacks steps at most, its file is whole, and none is left open") {
    const std::size_t open = asynchio_tests::open_descriptors();
    const std::string path = "/tmp/asynchio-trace-" + std::to_string(::getpid()) + ".json";
    std::size_t whole = 0;
    const std::size_t points = starve([&]() -> aio::task<> {
        {
            const aio::debug::trace trace(path);
            co_await four_tasks();
        }
        const allocation_faults::pause own_business;
        std::ifstream file(path);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        CHECK(text.starts_with("[\n"));
        CHECK(text.find(']', text.size() - 4) != std::string::npos);
        if (contains(text, "without_memory.test.cpp")) ++whole;
    });
    std::remove(path.c_str());
    CHECK(points > 10);
    CHECK(whole > 0);
    CHECK(whole < points);
    CHECK(asynchio_tests::closed_down_to(open));
}

TEST_CASE("without_memory: debug mode lacks notes at most") {
    std::size_t known = 0;
    std::size_t unknown = 0;
    const std::size_t points = starve(
        [&]() -> aio::task<> {
            aio::mutex m;
            const auto guard = co_await m.scoped_acquire();
            const auto waiter =
                aio::create_task([](aio::mutex& its) -> aio::task<> { co_await its.acquire(); }(m), "w");
            co_await aio::yield();
            std::string text;
            {
                const allocation_faults::pause own_business;
                text = aio::debug::detail::state_of(*aio::detail::access::state(waiter));
                ++(contains(text, "waiting for mutex held by Task-1 since ") ? known : unknown);
                if (!contains(text, "held")) CHECK(contains(text, "waiting for mutex"));
            }
            waiter.cancel();
            co_await aio::yield();
        },
        true);
    CHECK(points > 5);
    CHECK(known > 0);
    CHECK(unknown > 0);
}
