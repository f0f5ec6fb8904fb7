// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/ring_buffer.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <new>
#include <random>
#include <utility>

using asynchio::detail::ring_buffer;
using namespace asynchio_tests;

TEST_CASE("ring_buffer: an empty one holds and allocates nothing") {
    ring_buffer<int> r;
    CHECK(r.empty());
    CHECK(r.size() == 0);
    r.clear();
    CHECK(r.empty());
}

TEST_CASE("ring_buffer: first in, first out, round its end and while it grows") {
    ring_buffer<int> r;
    int in = 0;
    int out = 0;
    for (int round = 0; round < 50; ++round) {
        for (int i = 0; i < 7; ++i) r.push_back(in++);
        for (int i = 0; i < 5; ++i) CHECK(r.pop_front() == out++);
    }
    CHECK(r.size() == 100);
    while (!r.empty()) {
        CHECK(r.front() == out++);
        r.drop_front();
    }
    CHECK(out == in);
}

TEST_CASE("ring_buffer: the last one comes out at the back, round its end") {
    ring_buffer<std::unique_ptr<int>> r;
    for (int i = 0; i < 6; ++i) r.push_back(std::make_unique<int>(i));
    for (int i = 0; i < 4; ++i) r.drop_front();
    for (int i = 6; i < 10; ++i) r.push_back(std::make_unique<int>(i));
    for (int i = 9; i >= 4; --i) {
        const auto last = r.pop_back();
        CHECK(*last == i);
    }
    CHECK(r.empty());
}

TEST_CASE("ring_buffer: what is pushed to the front comes out first") {
    ring_buffer<int> r;
    for (int i = 0; i < 20; ++i) r.push_front(int(i));
    r.push_back(-1);
    for (int i = 19; i >= 0; --i) CHECK(r.pop_front() == i);
    CHECK(r.pop_front() == -1);
}

TEST_CASE("ring_buffer: takes what can only be moved, and destroys each value once") {
    counted::reset();
    {
        ring_buffer<counted> r;
        for (int i = 0; i < 100; ++i) r.push_back(counted(i));
        for (int i = 0; i < 40; ++i) r.drop_front();
        CHECK(counted::alive == 60);
        CHECK(counted::copies == 0);
        r.clear();
        CHECK(counted::alive == 0);
        r.push_back(counted(1));
    }
    CHECK(counted::alive == 0);
    ring_buffer<std::unique_ptr<int>> pointers;
    pointers.push_back(std::make_unique<int>(5));
    CHECK(*pointers.pop_front() == 5);
}

TEST_CASE("ring_buffer: moves its contents, and swaps them") {
    ring_buffer<int> a;
    for (int i = 0; i < 10; ++i) a.push_back(int(i));
    ring_buffer<int> b(std::move(a));
    CHECK(b.size() == 10);
    a = ring_buffer<int>();
    CHECK(a.empty());
    a.push_back(77);
    a.swap(b);
    CHECK(a.size() == 10);
    CHECK(b.pop_front() == 77);
    b = std::move(a);
    CHECK(b.front() == 0);
    CHECK(b.size() == 10);
}

TEST_CASE("ring_buffer: over-aligned values stand where they must") {
    struct alignas(64) wide {
        int value;
    };
    ring_buffer<wide> r;
    for (int i = 0; i < 9; ++i) {
        r.push_back(wide{i});
        CHECK(reinterpret_cast<std::uintptr_t>(&r.front()) % 64 == 0);
    }
}

TEST_CASE("ring_buffer: what making a value throws changes nothing") {
    struct picky {
        explicit picky(int n) {
            if (n < 0) throw boom("negative");
        }
    };
    ring_buffer<picky> r;
    for (int i = 0; i < 8; ++i) r.emplace_back(i);
    CHECK_THROWS_AS(r.emplace_back(-1), boom);
    CHECK_THROWS_AS(r.emplace_front(-1), boom);
    CHECK(r.size() == 8);
    r.emplace_back(8);
    CHECK(r.size() == 9);
}

TEST_CASE("ring_buffer: without memory it takes nothing") {
    if (sanitized) return; // their allocator would end the program
    struct enormous {
        explicit enormous(std::unique_ptr<int>&& from) noexcept : value(std::move(from)) {}
        std::unique_ptr<int> value;
        char bytes[std::size_t(-1) / 16];
    };
    ring_buffer<enormous> r;
    auto mine = std::make_unique<int>(3);
    CHECK_THROWS_AS(r.emplace_back(std::move(mine)), std::bad_alloc);
    CHECK(r.empty());
    CHECK(mine != nullptr);
}

TEST_CASE("ring_buffer: a destructor may look at it") {
    struct looker {
        ring_buffer<looker>* r;
        explicit looker(ring_buffer<looker>* which) noexcept : r(which) {}
        looker(looker&& other) noexcept : r(std::exchange(other.r, nullptr)) {}
        ~looker() {
            if (r != nullptr) CHECK(r->size() == 1);
        }
    };
    ring_buffer<looker> r;
    r.push_back(looker(&r));
    r.push_back(looker(nullptr));
    r.drop_front();
    CHECK(r.size() == 1);
}

TEST_CASE("ring_buffer: does what a deque does") {
    std::mt19937 random(1);
    for (int run = 0; run < 20; ++run) {
        ring_buffer<int> r;
        std::deque<int> model;
        for (int step = 0; step < 500; ++step) {
            switch (random() % 5) {
            case 0:
            case 1:
                r.push_back(int(step));
                model.push_back(step);
                break;
            case 2:
                r.push_front(int(step));
                model.push_front(step);
                break;
            default:
                if (model.empty()) break;
                REQUIRE(r.pop_front() == model.front());
                model.pop_front();
            }
            REQUIRE(r.size() == model.size());
            REQUIRE(r.empty() == model.empty());
        }
    }
}
