// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/kept.hpp>

#include "support/catch.hpp"

#include <memory>
#include <type_traits>
#include <utility>

using asynchio::taken;
using asynchio::detail::copied_t;
using asynchio::detail::kept_t;
using asynchio::detail::pass_on;

TEST_CASE("kept: an lvalue is referenced, a temporary kept, a taken one kept as what was taken") {
    STATIC_REQUIRE(std::is_same_v<kept_t<int&>, int&>);
    STATIC_REQUIRE(std::is_same_v<kept_t<const int&>, const int&>);
    STATIC_REQUIRE(std::is_same_v<kept_t<int>, int>);
    STATIC_REQUIRE(std::is_same_v<kept_t<taken<int>>, int>);
}

TEST_CASE("kept: who copies, copies an lvalue too, and takes what was taken") {
    STATIC_REQUIRE(std::is_same_v<copied_t<const int&>, int>);
    STATIC_REQUIRE(std::is_same_v<copied_t<int(int)>, int (*)(int)>);
    STATIC_REQUIRE(std::is_same_v<copied_t<taken<int>>, int>);
}

TEST_CASE("kept: what is passed on keeps its kind, and is not moved on the way") {
    int value = 1;
    STATIC_REQUIRE(std::is_same_v<decltype(pass_on<int&>(value)), int&>);
    STATIC_REQUIRE(std::is_same_v<decltype(pass_on<int>(value)), int&&>);
    taken<std::unique_ptr<int>> held(std::make_unique<int>(2));
    auto&& passed = pass_on<taken<std::unique_ptr<int>>>(held);
    STATIC_REQUIRE(std::is_same_v<decltype(passed), std::unique_ptr<int>&&>);
    CHECK(held.value() != nullptr);
    const std::unique_ptr<int> last = std::move(passed);
    CHECK(*last == 2);
    CHECK(held.value() == nullptr);
}
