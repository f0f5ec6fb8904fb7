// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/for_each_allocation_failure.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>

#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

// This program's operator new: testing/allocation_faults.test.cpp.

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;
using aio::testing::allocation_plan;
using aio::testing::allocation_report;
using aio::testing::for_each_allocation_failure;

namespace {

bool is_bad_alloc(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
        return true;
    } catch (...) {
        return false;
    }
}

/// Makes an allocation that no compiler leaves out: clang does so with one whose block does not leave its function.
[[gnu::noinline]] std::unique_ptr<int> allocated(int value) { return std::make_unique<int>(value); }

} // namespace

TEST_CASE("for_each_allocation_failure: each allocation fails once, in a run of its own") {
    int runs = 0;
    int ended = 0;
    const allocation_report report = for_each_allocation_failure([&]() -> aio::task<> {
        ++runs;
        const auto one = allocated(1);
        const auto two = allocated(2);
        co_await aio::sleep(1ms);
        ++ended;
    });
    CHECK(report.points > 3); // those of the loop, too
    CHECK(report.errors.size() == report.points);
    for (const auto& each : report.errors) CHECK(is_bad_alloc(each));
    CHECK(ended == 2); // the first run and the last one
    CHECK(runs > 4);
}

TEST_CASE("for_each_allocation_failure: all later ones fail too, if that is the plan") {
    const auto scenario = []() -> aio::task<> {
        for (int i = 0; i < 2; ++i) {
            try {
                const auto block = allocated(i);
            } catch (const std::bad_alloc&) {
                continue;
            }
            co_return;
        }
        throw 2; // an exception with a text would be an allocation
    };
    std::size_t others = 0;
    const auto count = [&others](const allocation_report& report) {
        others = 0;
        for (const auto& each : report.errors) others += is_bad_alloc(each) ? 0U : 1U;
    };
    count(for_each_allocation_failure(scenario));
    CHECK(others == 0);
    allocation_plan plan;
    plan.all_later = true;
    count(for_each_allocation_failure(scenario, plan));
    CHECK(others == 1);
}

TEST_CASE("for_each_allocation_failure: what hangs when memory runs out is named") {
    const std::string message = message_of([] {
        for_each_allocation_failure([]() -> aio::task<> {
            const aio::future<> future;
            const auto sets = [future]() -> aio::task<> {
                const auto block = allocated(1);
                future.set_result();
                co_return;
            };
            const auto setting = aio::create_task(sets);
            co_await future;
        });
    });
    CHECK_THAT(message, Catch::Matchers::StartsWith("for_each_allocation_failure, allocation "));
    CHECK_THAT(message, Catch::Matchers::Contains("the scenario hangs"));
    CHECK_THAT(message, Catch::Matchers::Contains("waiting for future"));
}

TEST_CASE("for_each_allocation_failure: what is left behind when memory runs out is named") {
    void* left = nullptr;
    const std::string message = message_of([&left] {
        for_each_allocation_failure([&left]() -> aio::task<> {
            void* const block = aio::detail::frame_pool::allocate(100);
            left = block;
            const auto other = allocated(1);
            aio::detail::frame_pool::deallocate(block, 100);
            left = nullptr;
            co_return;
        });
    });
    CHECK_THAT(message, Catch::Matchers::Contains("something is still alive\nframes: 1"));
    REQUIRE(left != nullptr);
    aio::detail::frame_pool::deallocate(left, 100);
}

TEST_CASE("for_each_allocation_failure: what fails with all the memory there is fails") {
    CHECK_THROWS_AS(for_each_allocation_failure([]() -> aio::task<> {
                        throw boom("always");
                        co_return;
                    }),
                    boom);
}
