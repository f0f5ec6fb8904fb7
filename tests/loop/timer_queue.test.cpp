// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/timer_queue.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace {

using asynchio::detail::far_future;
using asynchio::detail::nanoseconds_count;
using asynchio::detail::ready_queue;
using asynchio::detail::timer_queue;

struct entry : asynchio::detail::timer {
    explicit entry(int v) noexcept : timer([](ready_item&) noexcept {}), value(v) {}
    int value;
};

std::vector<int> expire(timer_queue& q, nanoseconds_count now) {
    ready_queue ready;
    q.expire(now, ready);
    std::vector<int> found;
    while (auto* item = ready.pop())
        found.push_back(static_cast<entry*>(static_cast<asynchio::detail::timer*>(item))->value);
    return found;
}

} // namespace

TEST_CASE("timer_queue: an empty one has nothing due, ever") {
    timer_queue q;
    CHECK(q.empty());
    CHECK(q.size() == 0);
    CHECK(q.next_deadline() == far_future);
    CHECK(expire(q, far_future).empty());
}

TEST_CASE("timer_queue: expires in order of deadline, up to and with now", "[LOOP-6]") {
    timer_queue q;
    entry a(1);
    entry b(2);
    entry c(3);
    q.add(a, 30);
    q.add(b, 10);
    q.add(c, 20);
    CHECK(q.next_deadline() == 10);
    CHECK(expire(q, 9).empty());
    CHECK(expire(q, 20) == std::vector<int>{2, 3});
    CHECK_FALSE(b.armed());
    CHECK(a.armed());
    CHECK(q.size() == 1);
    CHECK(expire(q, 30) == std::vector<int>{1});
    CHECK(q.empty());
}

TEST_CASE("timer_queue: equal deadlines keep the order in which they were set", "[LOOP-8]") {
    timer_queue q;
    std::vector<entry> all;
    for (int i = 0; i < 100; ++i) all.emplace_back(i);
    for (entry& each : all) q.add(each, 5);
    q.remove(all[50]); // sifts another one through the heap
    q.add(all[50], 5);
    const std::vector<int> order = expire(q, 5);
    REQUIRE(order.size() == 100);
    CHECK(order.back() == 50);
    for (std::size_t i = 0; i < 99; ++i) CHECK(order[i] == static_cast<int>(i < 50 ? i : i + 1));
}

TEST_CASE("timer_queue: removing is idempotent and leaves the rest in order", "[LOOP-15][LOOP-16]") {
    timer_queue q;
    entry a(1);
    entry b(2);
    entry c(3);
    q.add(a, 1);
    q.add(b, 2);
    q.add(c, 3);
    q.remove(a);
    q.remove(a);
    CHECK_FALSE(a.armed());
    CHECK(q.size() == 2);
    CHECK(q.next_deadline() == 2);
    CHECK(expire(q, 9) == std::vector<int>{2, 3});
    q.remove(b);
    q.add(b, 4);
    CHECK(q.next_deadline() == 4);
    q.remove(b);
    CHECK(q.empty());
}

TEST_CASE("timer_queue: clear leaves every timer idle") {
    timer_queue q;
    entry a(1);
    entry b(2);
    q.add(a, 1);
    q.add(b, 1);
    q.clear();
    CHECK(q.empty());
    CHECK_FALSE(a.armed());
    CHECK_FALSE(b.armed());
}

TEST_CASE("timer_queue: behaves as std::multimap under random changes") {
    for (const unsigned seed : {1U, 2U, 3U, 4U, 5U}) {
        std::mt19937 random(seed);
        std::vector<std::unique_ptr<entry>> all;
        for (int i = 0; i < 200; ++i) all.push_back(std::make_unique<entry>(i));
        timer_queue tested;
        std::multimap<nanoseconds_count, int> model; // equal keys stand in order of insertion
        nanoseconds_count now = 0;
        for (int step = 0; step < 4000; ++step) {
            entry& e = *all[random() % all.size()];
            switch (random() % 8) {
            case 0: { // time passes
                now += static_cast<nanoseconds_count>(random() % 20);
                std::vector<int> due;
                while (!model.empty() && model.begin()->first <= now) {
                    due.push_back(model.begin()->second);
                    model.erase(model.begin());
                }
                REQUIRE(expire(tested, now) == due);
                break;
            }
            case 1:
            case 2:
            case 3:
                if (e.armed()) {
                    tested.remove(e);
                    for (auto at = model.begin(); at != model.end(); ++at)
                        if (at->second == e.value) {
                            model.erase(at);
                            break;
                        }
                }
                break;
            default:
                if (!e.armed()) {
                    const nanoseconds_count deadline = now + static_cast<nanoseconds_count>(random() % 60);
                    tested.add(e, deadline);
                    model.emplace(deadline, e.value);
                }
            }
            REQUIRE(tested.size() == model.size());
            REQUIRE(tested.next_deadline() == (model.empty() ? far_future : model.begin()->first));
        }
        std::vector<int> rest;
        for (const auto& each : model) rest.push_back(each.second);
        CHECK(expire(tested, far_future) == rest);
    }
}
