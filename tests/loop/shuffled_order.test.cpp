// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/shuffled_order.hpp>

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/policies.hpp>

#include "support/virtual_run.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

namespace {

struct entry : aio::detail::ready_item {
    explicit entry(int v) noexcept : ready_item([](ready_item&) noexcept {}), value(v) {}
    int value;
};

std::vector<int> shuffled(aio::detail::shuffled_order& order, int count) {
    std::vector<entry> all;
    for (int i = 0; i < count; ++i) all.emplace_back(i);
    aio::detail::ready_queue queue;
    for (entry& each : all) queue.push(each);
    order.shuffle(queue);
    std::vector<int> found;
    while (auto* item = queue.pop()) found.push_back(static_cast<entry*>(item)->value);
    return found;
}

/// Five tasks that note their steps, some ready in the same iteration.
std::string trace(std::uint64_t seed) {
    std::string steps;
    asynchio_tests::virtual_run(
        [&]() -> aio::task<> {
            for (const char name : {'a', 'b', 'c', 'd', 'e'})
                aio::create_task([name, &steps]() -> aio::task<> {
                    for (int i = 0; i < 3; ++i) {
                        steps += name;
                        co_await aio::sleep(1s);
                    }
                });
            co_await aio::sleep(10s);
        },
        aio::testing::shuffled_order(seed));
    return steps;
}

} // namespace

TEST_CASE("shuffled_order: without a seed it is not active") {
    CHECK_FALSE(aio::detail::shuffled_order(std::nullopt).active());
    CHECK(aio::detail::shuffled_order(0).active());
}

TEST_CASE("shuffled_order: a batch keeps its items, each once") {
    aio::detail::shuffled_order order(42);
    CHECK(shuffled(order, 0).empty());
    CHECK(shuffled(order, 1) == std::vector<int>{0});
    for (int round = 0; round < 100; ++round) {
        std::vector<int> found = shuffled(order, 20);
        std::sort(found.begin(), found.end());
        std::vector<int> all(20);
        std::iota(all.begin(), all.end(), 0);
        REQUIRE(found == all);
    }
}

TEST_CASE("shuffled_order: every order of three comes up, about equally often") {
    aio::detail::shuffled_order order(7);
    std::vector<std::vector<int>> found;
    for (int round = 0; round < 6000; ++round) found.push_back(shuffled(order, 3));
    const std::set<std::vector<int>> orders(found.begin(), found.end());
    REQUIRE(orders.size() == 6);
    for (const std::vector<int>& each : orders) {
        const auto times = std::count(found.begin(), found.end(), each);
        CHECK(times > 800);
        CHECK(times < 1200);
    }
}

TEST_CASE("shuffled_order: the same seed gives the same sequence of batches, another one another") {
    aio::detail::shuffled_order first(9);
    aio::detail::shuffled_order second(9);
    aio::detail::shuffled_order third(10);
    bool differs = false;
    for (int round = 0; round < 10; ++round) {
        const std::vector<int> expected = shuffled(first, 10);
        CHECK(shuffled(second, 10) == expected);
        differs = differs || shuffled(third, 10) != expected;
    }
    CHECK(differs);
}

TEST_CASE("shuffled_order: a program's trace depends on the seed alone") {
    std::set<std::string> traces;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const std::string once = trace(seed);
        CHECK(once.size() == 15);
        CHECK(trace(seed) == once);
        traces.insert(once);
    }
    CHECK(traces.size() > 10);
}

TEST_CASE("shuffled_order: only what is ready in one iteration changes places", "[LOOP-2]") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        const std::string steps = trace(seed);
        for (std::size_t second = 0; second < 3; ++second) {
            std::string part = steps.substr(second * 5, 5);
            std::sort(part.begin(), part.end());
            CHECK(part == "abcde");
        }
    }
}
