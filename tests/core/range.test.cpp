// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/range.hpp>

#include "support/catch.hpp"

#include <list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using asynchio::detail::range;
using asynchio::detail::range_of;
using asynchio::detail::range_reference_t;
using asynchio::detail::range_value_t;

TEST_CASE("range: is what a range-for goes through") {
    STATIC_REQUIRE(range<std::vector<int>>);
    STATIC_REQUIRE(range<const std::list<int>&>);
    STATIC_REQUIRE(range<int[3]>);
    STATIC_REQUIRE(range<std::initializer_list<int>>);
    STATIC_REQUIRE_FALSE(range<int>);
    STATIC_REQUIRE_FALSE(range<int*>);
}

TEST_CASE("range: knows what it gives") {
    STATIC_REQUIRE(std::is_same_v<range_reference_t<std::vector<int>>, int&>);
    STATIC_REQUIRE(std::is_same_v<range_reference_t<const std::vector<int>&>, const int&>);
    STATIC_REQUIRE(std::is_same_v<range_value_t<const std::vector<int>&>, int>);
    STATIC_REQUIRE(range_of<std::vector<std::string>, std::string_view>);
    STATIC_REQUIRE(range_of<const char* [2], std::string_view>);
    STATIC_REQUIRE_FALSE(range_of<std::vector<int>, std::string_view>);
    STATIC_REQUIRE_FALSE(range_of<int, int>);
}
