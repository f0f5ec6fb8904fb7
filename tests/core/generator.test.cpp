// SPDX-License-Identifier: BSL-1.0

#include <asynchio/core/generator.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

aio::generator<int> count(int begin, int end) {
    for (int i = begin; i < end; ++i) co_yield i;
}

aio::generator<int> naturals() {
    for (int i = 0;; ++i) co_yield i;
}

struct tree {
    int value;
    std::unique_ptr<tree> left;
    std::unique_ptr<tree> right;

    explicit tree(int v) : value(v) {}
};

aio::generator<int> in_order(const tree* node) {
    if (node == nullptr) co_return;
    co_yield aio::elements_of(in_order(node->left.get()));
    co_yield node->value;
    co_yield aio::elements_of(in_order(node->right.get()));
}

std::vector<int> all_of(aio::generator<int> items) {
    std::vector<int> found;
    for (const int item : items) found.push_back(item);
    return found;
}

} // namespace

// Construction

TEST_CASE("generator: is move-only, may be empty, and says so") {
    static_assert(!std::is_copy_constructible_v<aio::generator<int>>);
    static_assert(std::is_nothrow_move_constructible_v<aio::generator<int>>);
    aio::generator<int> empty;
    CHECK(!empty);
    CHECK_THROWS_AS(empty.begin(), std::logic_error);
    CHECK(contains(message_of([&] { empty.begin(); }), "generator: it is empty"));
    auto full = count(0, 3);
    CHECK(full);
    empty = std::move(full);
    CHECK(!full);
    CHECK(all_of(std::move(empty)) == std::vector<int>{0, 1, 2});
}

TEST_CASE("generator: is an input range, of the items' own type") {
    using range = aio::generator<std::string>;
    static_assert(std::ranges::input_range<range>);
    static_assert(!std::ranges::forward_range<range>);
    static_assert(std::is_same_v<std::ranges::range_reference_t<range>, std::string&&>);
    static_assert(std::is_same_v<std::ranges::range_value_t<range>, std::string>);
    static_assert(std::is_same_v<std::ranges::range_reference_t<aio::generator<const int&>>, const int&>);
    static_assert(std::is_same_v<std::ranges::range_value_t<aio::generator<int&>>, int>);
    CHECK(all_of(count(3, 3)).empty());
}

TEST_CASE("generator: goes through views and algorithms") {
    std::vector<int> found;
    for (const int square : naturals() | std::views::transform([](int i) { return i * i; }) |
                                std::views::filter([](int i) { return i % 2 == 1; }) | std::views::take(4))
        found.push_back(square);
    CHECK(found == std::vector<int>{1, 9, 25, 49});
    CHECK(std::ranges::count_if(count(0, 10), [](int i) { return i < 3; }) == 3);
}

TEST_CASE("generator: runs only when it is asked") {
    int steps = 0;
    const auto body = [](int& seen) -> aio::generator<int> {
        seen = 1;
        co_yield 10;
        seen = 2;
        co_yield 20;
        seen = 3;
    };
    auto items = body(steps);
    CHECK(steps == 0);
    auto at = items.begin();
    CHECK(steps == 1);
    CHECK(*at == 10);
    ++at;
    CHECK(steps == 2);
    CHECK(*at == 20);
    CHECK(at != items.end());
    at++;
    CHECK(steps == 3);
    CHECK(at == items.end());
    CHECK_THROWS_AS(items.begin(), std::logic_error);
    CHECK(message_of([&] { items.begin(); }) == "generator: it can be gone through only once");
}

TEST_CASE("generator: 100,000 items, and 100,000 generators") {
    std::int64_t sum = 0;
    for (const int item : count(0, 100'000)) sum += item;
    CHECK(sum == 4'999'950'000);
    sum = 0;
    for (int i = 0; i < 100'000; ++i)
        for (const int item : count(i, i + 1)) sum += item;
    CHECK(sum == 4'999'950'000);
}

// Items

TEST_CASE("generator: passes temporaries on as they are, and copies named items") {
    counted::reset();
    const auto body = []() -> aio::generator<counted> {
        co_yield counted(1);
        counted named(2);
        co_yield named;
        CHECK(named.value == 2);
        co_yield std::move(named);
    };
    std::vector<int> values;
    for (counted&& item : body()) {
        const counted own(std::move(item));
        values.push_back(own.value);
    }
    CHECK(values == std::vector<int>{1, 2, 2});
    CHECK(counted::copies == 1);
    CHECK(counted::moves == 3);
    CHECK(counted::alive == 0);
}

TEST_CASE("generator: of what can only be moved, of what converts, of references") {
    const auto owners = []() -> aio::generator<std::unique_ptr<int>> {
        co_yield std::make_unique<int>(1);
        auto named = std::make_unique<int>(2);
        co_yield std::move(named);
    };
    int sum = 0;
    for (std::unique_ptr<int> item : owners()) sum += *item;
    CHECK(sum == 3);

    const auto texts = []() -> aio::generator<std::string> {
        co_yield "a text that is longer than a small string";
        co_yield std::string(3, 'x');
    };
    std::string joined;
    for (const std::string& text : texts()) joined += text + ' ';
    CHECK(joined == "a text that is longer than a small string xxx ");

    const auto references = [](std::vector<int>& all) -> aio::generator<int&> {
        for (int& each : all) co_yield each;
    };
    std::vector<int> numbers{1, 2, 3};
    for (int& each : references(numbers)) each *= 10;
    CHECK(numbers == std::vector<int>{10, 20, 30});

    const auto constant = []() -> aio::generator<const std::string&> {
        const std::string named = "named";
        co_yield named;
        co_yield std::string("temporary");
        co_yield "converted";
    };
    joined.clear();
    for (const std::string& text : constant()) joined += text + ' ';
    CHECK(joined == "named temporary converted ");
}

TEST_CASE("generator: of aggregates, named first") {
    struct record {
        std::string name;
        std::shared_ptr<int> value;
    };
    const auto shared = std::make_shared<int>(1);
    const auto records = [](std::shared_ptr<int> value) -> aio::generator<record> {
        record made{"named", value};
        co_yield made;
    };
    for (const record& each : records(shared)) {
        CHECK(each.name == "named");
        CHECK(each.value == shared);
    }
    CHECK(shared.use_count() == 1);
}

TEST_CASE("generator: locals that are aligned beyond 16 bytes") {
    struct alignas(32) wide {
        char bytes[32];
    };
    const auto body = []() -> aio::generator<std::uintptr_t> {
        const wide local{};
        co_yield reinterpret_cast<std::uintptr_t>(&local);
    };
    for (const std::uintptr_t address : body()) CHECK(address % 16 == 0);
}

// Exceptions

TEST_CASE("generator: an exception leaves begin() or ++, and is its end") {
    counted::reset();
    const auto body = [](int after) -> aio::generator<int> {
        const counted local;
        for (int i = 0; i < after; ++i) co_yield i;
        throw boom("in the body");
    };
    auto at_once = body(0);
    CHECK(message_of([&] { at_once.begin(); }) == "in the body");
    auto later = body(1);
    auto at = later.begin();
    CHECK(message_of([&] { ++at; }) == "in the body");
    CHECK(at == later.end());
    CHECK(counted::alive == 0);
}

TEST_CASE("generator: an item that cannot be copied fails inside the body") {
    const auto body = []() -> aio::generator<fragile> {
        const fragile named(1);
        bool failed = false;
        try {
            co_yield named;
        } catch (const boom&) {
            failed = true;
        }
        co_yield fragile(failed ? 2 : 3);
    };
    auto items = body();
    fragile::fuse = 1;
    const auto at = items.begin();
    fragile::fuse = 0;
    CHECK((*at).value == 2);
    items = {};
    CHECK(fragile::alive == 0);
}

// elements_of

TEST_CASE("generator: elements_of yields what another one does") {
    tree root(4);
    root.left = std::make_unique<tree>(2);
    root.left->left = std::make_unique<tree>(1);
    root.left->right = std::make_unique<tree>(3);
    root.right = std::make_unique<tree>(5);
    CHECK(all_of(in_order(&root)) == std::vector<int>{1, 2, 3, 4, 5});
    CHECK(all_of(in_order(nullptr)).empty());
}

TEST_CASE("generator: an exception inside elements_of comes out where it stands") {
    counted::reset();
    const auto inner = [](int item) -> aio::generator<int> {
        const counted local;
        co_yield item;
        throw boom("inner");
    };
    const auto outer = [&]() -> aio::generator<int> {
        std::string seen;
        try {
            co_yield aio::elements_of(inner(1));
        } catch (const boom& e) {
            seen = e.what();
        }
        co_yield seen == "inner" ? 2 : 3;
        co_yield aio::elements_of(inner(4));
    };
    std::vector<int> found;
    const auto go_through = [&] {
        for (const int item : outer()) found.push_back(item);
    };
    CHECK(message_of(go_through) == "inner");
    CHECK(found == std::vector<int>{1, 2, 4});
    CHECK(counted::alive == 0);
}

TEST_CASE("generator: elements_of takes one that has not begun") {
    aio::generator<int> begun = count(0, 3);
    begun.begin();
    const auto outer = [](aio::generator<int>& inner) -> aio::generator<int> {
        co_yield aio::elements_of(std::move(inner));
    };
    auto refused = outer(begun);
    CHECK(contains(message_of([&] { refused.begin(); }), "elements_of: the generator is empty, or"));
    aio::generator<int> empty;
    auto also_refused = outer(empty);
    CHECK(contains(message_of([&] { also_refused.begin(); }), "elements_of: the generator is empty, or"));
}

// Lifetime

TEST_CASE("generator: dropped early destroys what it has, the innermost first") {
    counted::reset();
    const auto arguments = [](counted argument) -> aio::generator<int> { co_yield argument.value; };
    {
        const auto never = arguments(counted(1));
        CHECK(counted::alive == 1);
    }
    CHECK(counted::alive == 0);
    trace log;
    struct tells {
        tells(trace& l, std::string n) : log(l), name(std::move(n)) {}
        tells(const tells&) = delete;
        tells& operator=(const tells&) = delete;
        ~tells() { log.push_back(name); }
        trace& log;
        std::string name;
    };
    struct nest {
        static aio::generator<int> of(int depth, trace& l) {
            const tells local(l, std::to_string(depth));
            if (depth > 0) co_yield aio::elements_of(of(depth - 1, l));
            co_yield depth;
        }
    };
    {
        auto items = nest::of(3, log);
        items.begin();
        CHECK(log.empty());
    }
    CHECK(log == trace{"0", "1", "2", "3"});
}

namespace {

/// The iterator of the generator that runs, for its body.
aio::generator<int>::iterator* own = nullptr;

aio::generator<int> advances_itself() {
    co_yield 1;
    std::string told;
    try {
        ++*own;
    } catch (const std::logic_error& error) {
        told = error.what();
    }
    co_yield told == "generator: its body advances it, but it is already executing" ? 2 : -1;
    ++*own;
}

aio::generator<int> advances_from_inside() {
    co_yield aio::elements_of(advances_itself());
    co_yield 3;
}

} // namespace

TEST_CASE("generator: a body that advances its own iterator is told that it is executing already") {
    for (const bool nested : {false, true}) {
        auto numbers = nested ? advances_from_inside() : advances_itself();
        auto at = numbers.begin();
        own = &at;
        CHECK(*at == 1);
        ++at;
        CHECK(*at == 2);
        CHECK_THROWS_AS(++at, std::logic_error); // what its body lets out ends it
        CHECK(at == std::default_sentinel);
        own = nullptr;
    }
}
