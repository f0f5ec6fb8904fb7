// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/trivial_vector.hpp>

#include "support/catch.hpp"
#include "support/threads.hpp"

#include <cstddef>
#include <new>
#include <vector>

using asynchio::detail::trivial_vector;
using namespace asynchio_tests;

namespace {

std::vector<int> items(const trivial_vector<int>& of) { return std::vector<int>(of.begin(), of.end()); }

struct entry {
    std::size_t key;
    int value;
};

} // namespace

TEST_CASE("trivial_vector: keeps its items in order while it grows") {
    trivial_vector<int> numbers;
    CHECK(numbers.empty());
    for (int i = 0; i < 1000; ++i) numbers.push_back(i);
    CHECK(numbers.size() == 1000);
    bool right = true;
    for (std::size_t i = 0; i < 1000; ++i) right = right && numbers[i] == static_cast<int>(i);
    CHECK(right);
    CHECK(numbers.front() == 0);
    CHECK(numbers.back() == 999);
    numbers.clear();
    CHECK(numbers.empty());
    CHECK(numbers.begin() == numbers.end());
}

TEST_CASE("trivial_vector: loses its first, its last, or all but the first") {
    trivial_vector<int> numbers;
    for (int i = 1; i <= 6; ++i) numbers.push_back(i);
    numbers.pop_back();
    numbers.pop_front();
    CHECK(items(numbers) == std::vector<int>{2, 3, 4, 5});
    numbers.shrink(2);
    CHECK(items(numbers) == std::vector<int>{2, 3});
    numbers.pop_front();
    numbers.pop_front();
    CHECK(numbers.empty());
}

TEST_CASE("trivial_vector: what resize adds is zero, also where something else was") {
    trivial_vector<int> numbers;
    for (int i = 1; i <= 8; ++i) numbers.push_back(i);
    numbers.resize(2);
    numbers.resize(5);
    CHECK(items(numbers) == std::vector<int>{1, 2, 0, 0, 0});
    numbers.resize(100);
    CHECK(numbers.size() == 100);
    CHECK(numbers[99] == 0);
    CHECK(numbers[1] == 2);
}

TEST_CASE("trivial_vector: after reserve the items stay where they are") {
    trivial_vector<entry> entries;
    entries.push_back({1, 2});
    entries.reserve(50);
    const entry* const where = entries.data();
    while (entries.size() < 50) entries.push_back({entries.size(), 0});
    CHECK(entries.data() == where);
    CHECK(entries[0].key == 1);
    CHECK(entries[0].value == 2);
    CHECK(entries[49].key == 49);
}

TEST_CASE("trivial_vector: without memory it stays as it is") {
    if (sanitized) return; // their allocator would end the program
    trivial_vector<int> numbers;
    for (int i = 0; i < 4; ++i) numbers.push_back(i);
    CHECK_THROWS_AS(numbers.reserve(std::size_t(-1) / sizeof(int)), std::bad_alloc);
    CHECK(items(numbers) == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("trivial_vector: an item of its own may be added again") {
    trivial_vector<int> numbers;
    numbers.push_back(7);
    while (numbers.size() < 70) numbers.push_back(numbers.front());
    CHECK(numbers.back() == 7);
}

TEST_CASE("trivial_vector: swap exchanges the items, and what is reserved") {
    trivial_vector<int> some;
    for (int i = 0; i < 9; ++i) some.push_back(i);
    trivial_vector<int> none;
    const int* const where = some.data();
    none.swap(some);
    CHECK(some.empty());
    CHECK(none.size() == 9);
    CHECK(none.data() == where);
    some.push_back(1);
    CHECK(items(some) == std::vector<int>{1});
}
