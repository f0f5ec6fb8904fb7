// SPDX-License-Identifier: BSL-1.0
#include <asynchio/sync/lifo_queue.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>

#include <memory>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;

TEST_CASE("lifo_queue: gives the newest first", "[Q-13]") {
    virtual_run([]() -> aio::task<> {
        aio::lifo_queue<int> q(5);
        for (int i = 0; i < 5; ++i) co_await q.put(i);
        CHECK(q.full());
        std::vector<int> items;
        while (!q.empty()) {
            const int item = co_await q.get();
            items.push_back(item);
        }
        CHECK(items == std::vector<int>{4, 3, 2, 1, 0});
    });
}

TEST_CASE("lifo_queue: the item is chosen when the getter runs", "[Q-15]") {
    virtual_run([]() -> aio::task<> {
        aio::lifo_queue<int> q;
        auto getter = [&]() -> aio::task<int> {
            const int item = co_await q.get();
            co_return item;
        };
        auto a = aio::create_task(getter());
        co_await aio::yield();
        q.put_nowait(1);
        q.put_nowait(2);
        const int item = co_await a;
        CHECK(item == 2);
        CHECK(q.get_nowait() == 1);
    });
}

TEST_CASE("lifo_queue: takes what can only be moved, and drops it at shutdown", "[Q-18]") {
    counted::reset();
    aio::lifo_queue<std::unique_ptr<counted>> q;
    for (int i = 0; i < 3; ++i) q.put_nowait(std::make_unique<counted>(i));
    CHECK(q.get_nowait()->value == 2);
    CHECK(counted::alive == 2);
    q.shutdown(true);
    CHECK(counted::alive == 0);
    CHECK(q.empty());
}

TEST_CASE("lifo_queue: an item that throws when it is moved out stays", "[Q-13]") {
    fragile::fuse = 0;
    {
        aio::lifo_queue<fragile> q;
        for (int i = 0; i < 10; ++i) q.put_nowait(fragile(i));
        fragile::fuse = 1;
        CHECK_THROWS_AS(q.get_nowait(), boom);
        CHECK(q.size() == 10);
        CHECK(q.get_nowait().value == 9);
    }
    CHECK(fragile::alive == 0);
}
