// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/exchange.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace detail = asynchio::detail;

TEST_CASE("exchange: sets, and gives what was there") {
    int number = 1;
    CHECK(detail::exchange(number, 2) == 1);
    CHECK(number == 2);
    const char* text = "text";
    CHECK(detail::exchange(text, nullptr) == std::string("text"));
    CHECK(text == nullptr);
    std::string word = "before";
    CHECK(detail::exchange(word, {}) == "before");
    CHECK(word.empty());
    constexpr int both = [] {
        int value = 3;
        const int before = detail::exchange(value, 4);
        return 10 * before + value;
    }();
    STATIC_REQUIRE(both == 34);
}

TEST_CASE("exchange: moves") {
    auto owned = std::make_unique<int>(1);
    const auto before = detail::exchange(owned, std::make_unique<int>(2));
    CHECK(*before == 1);
    CHECK(*owned == 2);
}
