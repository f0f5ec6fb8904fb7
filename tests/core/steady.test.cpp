// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/steady.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

using asynchio::detail::steady;
using namespace asynchio_tests;

namespace {

struct unassignable {
    explicit unassignable(int v) noexcept : value(v) {}
    const int value;
};

} // namespace

TEST_CASE("steady: moves and assigns without a throw, whatever the type does") {
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<steady<std::string>>);
    STATIC_REQUIRE(std::is_nothrow_move_assignable_v<steady<std::unique_ptr<int>>>);
    STATIC_REQUIRE(!std::is_nothrow_move_constructible_v<fragile>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<steady<fragile>>);
    STATIC_REQUIRE(std::is_nothrow_move_assignable_v<steady<fragile>>);
    STATIC_REQUIRE(!std::is_move_assignable_v<unassignable>);
    STATIC_REQUIRE(std::is_nothrow_move_assignable_v<steady<unassignable>>);
}

TEST_CASE("steady: takes no room beside the value where its moves do not throw") {
    STATIC_REQUIRE(sizeof(steady<int>) == sizeof(int));
    STATIC_REQUIRE(sizeof(steady<fragile>) == sizeof(void*));
}

TEST_CASE("steady: assignment replaces the value, and by itself does nothing") {
    counted::reset();
    {
        steady<counted> a(counted(1));
        steady<counted> b(counted(2));
        a = std::move(b);
        CHECK(a.get().value == 2);
        auto& same = a;
        a = std::move(same);
        CHECK(a.get().value == 2);
        CHECK(counted::alive == 2);
        steady<unassignable> c(unassignable(3));
        c = steady<unassignable>(unassignable(4));
        CHECK(std::as_const(c).get().value == 4);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("steady: a type whose moves throw is moved once, on the way in") {
    fragile::fuse = 0;
    {
        steady<fragile> a(fragile(1));
        fragile::fuse = 1;
        steady<fragile> b(std::move(a));
        a = std::move(b);
        CHECK(std::as_const(a).get().value == 1);
        CHECK_THROWS_AS(steady<fragile>(std::move(a.get())), boom);
        CHECK(a.get().value == 1);
    }
    fragile::fuse = 0;
    CHECK(fragile::alive == 0);
}

TEST_CASE("parameter: is the type itself, or a box that converts to references to the value") {
    using asynchio::detail::parameter;
    STATIC_REQUIRE(std::is_same_v<parameter<std::unique_ptr<int>>, std::unique_ptr<int>>);
    STATIC_REQUIRE(std::is_same_v<parameter<fragile&>, fragile&>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<parameter<fragile>>);
    {
        parameter<fragile> boxed = fragile(1);
        fragile::fuse = 1;
        parameter<fragile> moved(std::move(boxed));
        fragile::fuse = 0;
        fragile& value = moved;
        value.value = 2;
        const fragile taken = static_cast<fragile&&>(moved);
        CHECK(taken.value == 2);
        CHECK(fragile::alive == 2);
    }
    CHECK(fragile::alive == 0);
}
