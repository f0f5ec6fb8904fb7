// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/late_value.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"

#include <memory>
#include <type_traits>
#include <utility>

using asynchio::detail::late_value;
using namespace asynchio_tests;

namespace {

struct immovable {
    explicit immovable(int v) : value(v) {
        if (v < 0) throw boom("negative");
    }
    immovable(const immovable&) = delete;
    immovable& operator=(const immovable&) = delete;
    int value;
};

} // namespace

TEST_CASE("late_value: has a value between emplace and reset") {
    STATIC_REQUIRE(!std::is_copy_constructible_v<late_value<int>>);
    counted::reset();
    {
        late_value<counted> place;
        CHECK_FALSE(place);
        CHECK(counted::alive == 0);
        CHECK(place.emplace(3).value == 3);
        CHECK(place);
        CHECK((*place).value == 3);
        CHECK(std::as_const(place)->value == 3);
        place.emplace(4);
        CHECK(counted::alive == 1);
        CHECK(place->value == 4);
        place.reset();
        CHECK_FALSE(place);
        CHECK(counted::alive == 0);
        place.reset();
        place.emplace(5);
    }
    CHECK(counted::alive == 0);
    CHECK(counted::copies == 0);
    CHECK(counted::moves == 0);
}

TEST_CASE("late_value: holds what cannot be moved, and is empty when making it has thrown") {
    late_value<immovable> place;
    CHECK(place.emplace(1).value == 1);
    CHECK_THROWS_AS(place.emplace(-1), boom);
    CHECK_FALSE(place);
    CHECK(place.emplace(2).value == 2);
}
