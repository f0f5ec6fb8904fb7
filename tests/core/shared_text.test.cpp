// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/shared_text.hpp>

#include "support/catch.hpp"

#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using asynchio::detail::shared_text;

TEST_CASE("shared_text: an empty one holds nothing") {
    CHECK(shared_text().view().empty());
    CHECK(shared_text("").view().empty());
    CHECK(shared_text("").view().data() == nullptr);
}

TEST_CASE("shared_text: keeps its own copy of the text, zeros included") {
    const std::string source("a\0b, and more than fits into a short string", 43);
    const shared_text text(source);
    CHECK(text.view() == source);
    CHECK(text.view().data() != source.data());
}

TEST_CASE("shared_text: copies share, and the last one frees") {
    STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<shared_text>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<shared_text>);
    shared_text last;
    {
        const shared_text first("text");
        const shared_text second = first;
        CHECK(second.view().data() == first.view().data());
        last = second;
    }
    CHECK(last.view() == "text");
}

TEST_CASE("shared_text: a moved one is empty, assignment replaces, also of itself") {
    shared_text a("a");
    shared_text b = std::move(a);
    CHECK(b.view() == "a");
    CHECK(shared_text(std::move(a)).view().empty());
    const shared_text& same = b;
    b = same;
    CHECK(b.view() == "a");
    b = shared_text("c");
    CHECK(b.view() == "c");
    b = shared_text();
    CHECK(b.view().empty());
}

TEST_CASE("shared_text: copies may come and go on several threads", "[time]") {
    const shared_text shared("between threads");
    std::vector<std::thread> threads;
    std::vector<int> wrong(4);
    for (int& errors : wrong)
        threads.emplace_back([&errors, mine = shared] {
            for (int i = 0; i < 10'000; ++i) {
                const shared_text copy = mine;
                if (copy.view() != "between threads") ++errors;
            }
        });
    for (std::thread& each : threads) each.join();
    CHECK(wrong == std::vector<int>(4, 0));
    CHECK(shared.view() == "between threads");
}

TEST_CASE("shared_text: where it must not fail, it is made if that is possible") {
    CHECK(shared_text::if_possible("a text").view() == "a text");
    CHECK(shared_text::if_possible("").view().empty());
}
