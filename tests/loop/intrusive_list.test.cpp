// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/intrusive_list.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <list>
#include <random>
#include <vector>

namespace {

struct payload {
    int value = 0;
};
/// The link is not the first base: the list has to find its way back.
struct element : payload, asynchio::detail::list_link {
    explicit element(int v) noexcept : payload{v}, list_link{nullptr, nullptr} {}
};
using list = asynchio::detail::intrusive_list<element>;

std::vector<int> values(const list& l) {
    std::vector<int> found;
    for (const element* each = l.front(); each != nullptr; each = l.after(*each)) found.push_back(each->value);
    return found;
}

} // namespace

TEST_CASE("intrusive_list: an empty one has no ends") {
    list l;
    CHECK(l.empty());
    CHECK(l.front() == nullptr);
    CHECK(l.back() == nullptr);
    CHECK(l.pop_front() == nullptr);
    STATIC_REQUIRE(sizeof(list) == sizeof(void*));
}

TEST_CASE("intrusive_list: keeps the order of insertion") {
    list l;
    element a(1);
    element b(2);
    element c(3);
    l.push_back(a);
    CHECK(l.front() == &a);
    CHECK(l.back() == &a);
    l.push_back(b);
    l.push_back(c);
    CHECK(values(l) == std::vector<int>{1, 2, 3});
    CHECK(l.back() == &c);
    CHECK(l.pop_front() == &a);
    CHECK(a.next == nullptr);
    CHECK(values(l) == std::vector<int>{2, 3});
}

TEST_CASE("intrusive_list: removes from the front, the middle and the end, and takes elements again") {
    list l;
    element a(1);
    element b(2);
    element c(3);
    for (element* each : {&a, &b, &c}) l.push_back(*each);
    l.remove(b);
    CHECK(b.next == nullptr);
    CHECK(values(l) == std::vector<int>{1, 3});
    l.remove(c);
    CHECK(l.back() == &a);
    l.remove(a);
    CHECK(l.empty());
    l.push_back(b);
    l.push_back(a);
    CHECK(values(l) == std::vector<int>{2, 1});
    l.remove(b);
    CHECK(l.front() == &a);
}

TEST_CASE("intrusive_list: takes over the elements of another one, in their order") {
    list l;
    list other;
    l.append(other);
    CHECK(l.empty());

    std::vector<element> all;
    for (int i = 0; i < 5; ++i) all.emplace_back(i);
    other.push_back(all[0]);
    other.push_back(all[1]);
    l.append(other); // an empty one takes all
    CHECK(other.empty());
    CHECK(values(l) == std::vector<int>{0, 1});

    other.push_back(all[2]);
    other.push_back(all[3]);
    l.append(other);
    l.push_back(all[4]);
    CHECK(values(l) == std::vector<int>{0, 1, 2, 3, 4});
    CHECK(l.back() == &all[4]);
    for (const int i : {2, 0, 4, 3, 1}) l.remove(all[static_cast<std::size_t>(i)]); // links back and forth hold
    CHECK(l.empty());
}

TEST_CASE("intrusive_list: behaves as std::list under random changes") {
    std::vector<element> all;
    for (int i = 0; i < 50; ++i) all.emplace_back(i);
    list tested;
    std::list<int> model;
    std::mt19937 random(1);
    for (int step = 0; step < 5000; ++step) {
        const auto at = static_cast<int>(random() % 50);
        element& e = all[static_cast<std::size_t>(at)];
        if (random() % 8 == 0) {
            const element* popped = tested.pop_front();
            REQUIRE((popped == nullptr) == model.empty());
            if (popped != nullptr) {
                REQUIRE(popped->value == model.front());
                model.pop_front();
            }
        } else if (e.next == nullptr) {
            tested.push_back(e);
            model.push_back(at);
        } else {
            tested.remove(e);
            model.remove(at);
        }
        REQUIRE(tested.empty() == model.empty());
        REQUIRE(values(tested) == std::vector<int>(model.begin(), model.end()));
    }
}
