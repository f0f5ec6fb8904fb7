// SPDX-License-Identifier: BSL-1.0
#include <asynchio/sync/priority_queue.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

/// Movable only, not assignable; ordered by `rank`.
struct job {
    job(int r, int n) noexcept : rank(r), number(n), held(std::make_unique<counted>(n)) {}
    job(job&&) noexcept = default;
    const int rank;
    const int number;
    std::unique_ptr<counted> held;
};
struct by_rank {
    bool operator()(const job& a, const job& b) const noexcept { return a.rank < b.rank; }
};

/// Compares, and throws in the comparison that burns the fuse down.
struct fused {
    static inline int fuse = 0;
    bool operator()(const job& a, const job& b) const {
        if (fuse != 0 && --fuse == 0) throw boom("compare");
        return a.rank < b.rank;
    }
};

} // namespace

TEST_CASE("priority_queue: gives the smallest first", "[Q-13]") {
    virtual_run([]() -> aio::task<> {
        aio::priority_queue<int> q(5);
        for (const int item : {3, 1, 5, 2, 4}) co_await q.put(item);
        CHECK(q.full());
        std::vector<int> items;
        while (!q.empty()) {
            const int item = co_await q.get();
            items.push_back(item);
        }
        CHECK(items == std::vector<int>{1, 2, 3, 4, 5});
    });
}

TEST_CASE("priority_queue: with another order", "[Q-13]") {
    aio::priority_queue<std::string, std::greater<std::string>> largest;
    for (const char* item : {"b", "c", "a"}) largest.put_nowait(item);
    CHECK(largest.get_nowait() == "c");
    int from = 10;
    auto distance = [&from](int a, int b) { return std::abs(a - from) < std::abs(b - from); };
    aio::priority_queue<int, decltype(distance)> nearest(0, distance);
    for (const int item : {1, 12, 30}) nearest.put_nowait(item);
    CHECK(nearest.get_nowait() == 12);
    CHECK(nearest.get_nowait() == 1);
    nearest.shutdown(true);
    CHECK(nearest.empty());
}

TEST_CASE("priority_queue: equal items come out in the order in which they were put", "[Q-14]") {
    aio::priority_queue<job, by_rank> q;
    std::mt19937 random(3);
    std::vector<std::pair<int, int>> expected;
    for (int i = 0; i < 500; ++i) {
        const int rank = static_cast<int>(random() % 5);
        q.put_nowait(job(rank, i));
        expected.emplace_back(rank, i);
    }
    std::sort(expected.begin(), expected.end());
    for (const auto& [rank, number] : expected) {
        const job next = q.get_nowait();
        REQUIRE(next.rank == rank);
        REQUIRE(next.number == number);
    }
}

TEST_CASE("priority_queue: the item is chosen when the getter runs", "[Q-15]") {
    virtual_run([]() -> aio::task<> {
        aio::priority_queue<int> q;
        auto getter = [&]() -> aio::task<int> {
            const int item = co_await q.get();
            co_return item;
        };
        auto a = aio::create_task(getter());
        co_await aio::yield();
        q.put_nowait(7);
        q.put_nowait(4);
        const int item = co_await a;
        CHECK(item == 4);
        CHECK(q.get_nowait() == 7);
    });
}

TEST_CASE("priority_queue: a comparison that throws changes nothing", "[Q-13]") {
    counted::reset();
    {
        aio::priority_queue<job, fused> q;
        std::vector<int> expected;
        std::mt19937 random(4);
        int thrown = 0;
        for (int i = 0; i < 300; ++i) {
            job mine(static_cast<int>(random() % 50), i);
            fused::fuse = static_cast<int>(random() % 4);
            try {
                q.put_nowait(std::move(mine));
            } catch (const boom&) {
                ++thrown;
                REQUIRE(mine.held != nullptr); // still with the caller
                fused::fuse = 0;
                q.put_nowait(std::move(mine));
            }
            expected.push_back(mine.rank);
        }
        std::sort(expected.begin(), expected.end());
        for (const int rank : expected) {
            fused::fuse = static_cast<int>(random() % 6);
            try {
                const job next = q.get_nowait();
                REQUIRE(next.rank == rank);
            } catch (const boom&) {
                ++thrown;
                fused::fuse = 0;
                const job next = q.get_nowait();
                REQUIRE(next.rank == rank);
            }
        }
        fused::fuse = 0;
        CHECK(thrown > 100);
        CHECK(q.empty());
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("priority_queue: a getter whose comparison throws leaves the item to the next getter") {
    virtual_run([]() -> aio::task<> {
        aio::priority_queue<job, fused> q;
        auto getter = [&]() -> aio::task<int> {
            const job next = co_await q.get();
            co_return next.number;
        };
        auto a = aio::create_task(getter());
        auto b = aio::create_task(getter());
        co_await aio::yield();
        fused::fuse = 0;
        q.put_nowait(job(1, 1));
        q.put_nowait(job(2, 2));
        q.put_nowait(job(3, 3));
        fused::fuse = 1;
        while (!a.done() || !b.done()) co_await aio::yield();
        fused::fuse = 0;
        CHECK(text_of(a.exception()) == "compare");
        CHECK(b.result() == 1);
        CHECK(q.size() == 2);
    });
}

TEST_CASE("priority_queue: an item that throws when it is moved out stays") {
    struct smaller {
        bool operator()(const fragile& a, const fragile& b) const noexcept { return a.value < b.value; }
    };
    fragile::fuse = 0;
    {
        aio::priority_queue<fragile, smaller> q;
        for (const int item : {5, 3, 8, 1, 9}) q.put_nowait(fragile(item));
        for (const int item : {1, 3, 5, 8, 9}) {
            fragile::fuse = 1;
            CHECK_THROWS_AS(q.get_nowait(), boom);
            CHECK(q.get_nowait().value == item);
        }
    }
    CHECK(fragile::alive == 0);
}

TEST_CASE("priority_queue: sorts like std::stable_sort, whatever comes in between") {
    std::mt19937 random(5);
    for (int run = 0; run < 50; ++run) {
        aio::priority_queue<int> q;
        std::vector<int> model;
        for (int step = 0; step < 200; ++step) {
            if (random() % 3 != 0 || model.empty()) {
                const int item = static_cast<int>(random() % 20);
                q.put_nowait(item);
                model.push_back(item);
            } else {
                const auto smallest = std::min_element(model.begin(), model.end());
                REQUIRE(q.get_nowait() == *smallest);
                model.erase(smallest);
            }
            REQUIRE(q.size() == model.size());
        }
    }
}
