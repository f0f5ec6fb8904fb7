// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/range.hpp>

#include "support/catch.hpp"

#include <filesystem>
#include <list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using asynchio::detail::range;
using asynchio::detail::range_of;
using asynchio::detail::range_reference_t;
using asynchio::detail::range_value_t;

namespace elsewhere {

/// Gone through by free functions of its namespace, as a range-for finds them.
struct pair_of_texts {
    std::string texts[2];
};
std::string* begin(pair_of_texts& p) { return p.texts; }
std::string* end(pair_of_texts& p) { return p.texts + 2; }

} // namespace elsewhere

TEST_CASE("range: is what a range-for goes through, free begin and end included") {
    STATIC_REQUIRE(range<elsewhere::pair_of_texts>);
    STATIC_REQUIRE(range<std::filesystem::directory_iterator>);
    STATIC_REQUIRE(
        std::is_same_v<range_value_t<std::filesystem::directory_iterator>, std::filesystem::directory_entry>);
    elsewhere::pair_of_texts two{{"a", "b"}};
    CHECK(asynchio::detail::end_of(two) - asynchio::detail::begin_of(two) == 2);
    int numbers[] = {1, 2, 3};
    CHECK(asynchio::detail::end_of(numbers) - asynchio::detail::begin_of(numbers) == 3);
}

TEST_CASE("range: is a container or an array") {
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
