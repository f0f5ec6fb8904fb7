// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/ready_queue.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <deque>
#include <random>
#include <vector>

namespace {

struct entry : asynchio::detail::ready_item {
    explicit entry(int v) noexcept : ready_item([](ready_item&) noexcept {}), value(v) {}
    int value;
};
using asynchio::detail::ready_queue;

std::vector<int> drain(ready_queue& q) {
    std::vector<int> found;
    while (auto* item = q.pop()) found.push_back(static_cast<entry*>(item)->value);
    return found;
}

} // namespace

TEST_CASE("ready_queue: first in, first out", "[LOOP-1]") {
    ready_queue q;
    CHECK(q.empty());
    CHECK(q.pop() == nullptr);
    entry a(1);
    entry b(2);
    entry c(3);
    q.push(a);
    q.push(b);
    q.push(c);
    CHECK_FALSE(q.empty());
    CHECK(q.size() == 3);
    CHECK(drain(q) == std::vector<int>{1, 2, 3});
    CHECK(q.empty());
    q.push(c);
    q.push(a);
    CHECK(drain(q) == std::vector<int>{3, 1});
}

TEST_CASE("ready_queue: append moves everything to the back") {
    ready_queue q;
    ready_queue other;
    entry a(1);
    entry b(2);
    entry c(3);
    entry d(4);
    q.append(other);
    CHECK(q.empty());
    other.push(a);
    other.push(b);
    q.append(other);
    CHECK(other.empty());
    other.push(c);
    q.append(other);
    q.push(d);
    CHECK(drain(q) == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("ready_queue: an item is taken out wherever it stands, once") {
    ready_queue q;
    std::vector<entry> all;
    for (int i = 0; i < 5; ++i) all.emplace_back(i);
    for (entry& each : all) q.push(each);
    CHECK(q.remove(all[2]));
    CHECK(q.remove(all[0]));
    CHECK(q.remove(all[4]));
    CHECK_FALSE(q.remove(all[4]));
    q.push(all[0]); // the end is still known
    CHECK(drain(q) == std::vector<int>{1, 3, 0});
    CHECK_FALSE(q.remove(all[1]));
    q.push(all[1]);
    CHECK(q.remove(all[1]));
    CHECK(q.empty());
    q.push(all[2]);
    CHECK(drain(q) == std::vector<int>{2});
}

TEST_CASE("ready_queue: clear forgets what was in it") {
    ready_queue q;
    entry a(1);
    entry b(2);
    q.push(a);
    q.push(b);
    q.clear();
    CHECK(q.empty());
    CHECK(q.size() == 0);
    q.push(b);
    CHECK(drain(q) == std::vector<int>{2});
}

TEST_CASE("ready_queue: behaves as std::deque under random changes") {
    std::vector<entry> all;
    for (int i = 0; i < 30; ++i) all.emplace_back(i);
    std::vector<bool> queued(30, false);
    ready_queue tested;
    std::deque<int> model;
    std::mt19937 random(2);
    for (int step = 0; step < 5000; ++step) {
        const auto at = static_cast<std::size_t>(random() % 30);
        if (queued[at]) {
            if (random() % 2 == 0) {
                REQUIRE(tested.remove(all[at]));
                std::erase(model, static_cast<int>(at));
                queued[at] = false;
            } else {
                const auto* first = static_cast<entry*>(tested.pop());
                REQUIRE(first != nullptr);
                REQUIRE(first->value == model.front());
                model.pop_front();
                queued[static_cast<std::size_t>(first->value)] = false;
            }
        } else {
            tested.push(all[at]);
            model.push_back(static_cast<int>(at));
            queued[at] = true;
        }
        REQUIRE(tested.size() == model.size());
        REQUIRE(tested.empty() == model.empty());
    }
    CHECK(drain(tested) == std::vector<int>(model.begin(), model.end()));
}
