// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/detail/owned_tasks.hpp>

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/policies.hpp>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// `n` tasks with an argument and a result that are counted: the first ends after a millisecond, each later one a
/// millisecond after the one before.
std::vector<aio::task<counted>> counted_tasks(int n) {
    const auto gives = [](counted argument, aio::duration time) -> aio::task<counted> {
        co_await aio::sleep(time);
        co_return counted(argument.value);
    };
    std::vector<aio::task<counted>> tasks;
    for (int i = 0; i < n; ++i) tasks.push_back(gives(counted(i), (i + 1) * 1ms));
    return tasks;
}

} // namespace

TEST_CASE("owned_tasks: a vector of tasks that is moved in is the children; others are moved out of theirs") {
    using tasks = std::vector<aio::task<int>>;
    using aio::detail::range_children_t;
    static_assert(std::is_same_v<range_children_t<tasks>, aio::detail::owned_tasks<int>>);
    static_assert(!std::is_same_v<range_children_t<tasks&>, aio::detail::owned_tasks<int>>);
    virtual_run([]() -> aio::task<> {
        tasks kept;
        kept.push_back(gives(1));
        kept.push_back(gives(2));
        const auto results = co_await aio::gather(kept);
        CHECK(results == std::vector<int>{1, 2});
        CHECK(kept.size() == 2);
        CHECK(!kept[0]);
    });
}

TEST_CASE("owned_tasks: an empty one is misuse, and the others are freed") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        auto tasks = counted_tasks(3);
        static_cast<void>(aio::task<counted>(std::move(tasks[1])));
        CHECK(counted::alive == 2);
        CHECK_THROWS_AS(aio::gather(std::move(tasks)), std::logic_error);
        CHECK(counted::alive == 0);
        co_return;
    });
}

TEST_CASE("owned_tasks: never awaited they run nothing and are freed") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        {
            auto all = aio::gather(counted_tasks(3));
            CHECK(counted::alive == 3);
        }
        CHECK(counted::alive == 0);
        co_return;
    });
}

TEST_CASE("owned_tasks: those that ended, those that wait and those that have not begun go with their loop") {
    const audited afterwards;
    counted::reset();
    bool ended = false;
    for (int iterations = 0; !ended; ++iterations) {
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {}); // "was destroyed"
        const auto main = loop.create_task(aio::gather(counted_tasks(3)));
        make_iterations(loop, iterations);
        ended = main.done();
        loop.close();
        if (!ended) CHECK(counted::alive == 0);
        if (iterations == 0) CHECK(!ended);
    }
}

TEST_CASE("owned_tasks: what nobody takes is freed: a result that cannot be moved out ends the gather") {
    for (int fuse = 1; fuse < 12; ++fuse) {
        fragile::alive = 0;
        bool thrown = false;
        virtual_run([&]() -> aio::task<> {
            const auto make = [](int value) -> aio::task<fragile> {
                co_await aio::sleep(1ms);
                co_return fragile(value);
            };
            std::vector<aio::task<fragile>> tasks;
            for (int i = 0; i < 4; ++i) tasks.push_back(make(i));
            fragile::fuse = fuse;
            try {
                const auto all = co_await aio::gather(std::move(tasks));
                CHECK(all.size() == 4);
            } catch (const boom&) {
                thrown = true;
            }
        });
        CHECK(thrown == (fragile::fuse == 0));
        fragile::fuse = 0;
        CHECK(fragile::alive == 0);
    }
}

TEST_CASE("owned_tasks: the losers of a race are freed") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto winner = co_await aio::race(counted_tasks(3));
        CHECK(winner.first == 0);
        CHECK(winner.second.value == 0);
        CHECK(counted::alive == 1);
    });
}

TEST_CASE("owned_tasks: cancelled at every point nothing is left") {
    const auto report = aio::testing::for_each_cancellation([]() -> aio::task<> {
        co_await aio::gather(counted_tasks(3));
        static_cast<void>(co_await aio::gather(aio::return_exceptions, counted_tasks(2)));
    });
    CHECK(report.points > 4);
    CHECK(report.cancelled == report.points);
    CHECK(counted::alive == 0);
}
