// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/owner.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"

#include <type_traits>
#include <utility>

using asynchio::detail::make_owner;
using asynchio::detail::owner;
using namespace asynchio_tests;

namespace {

struct derived_counted : counted {
    using counted::counted;
};

struct noted {
    static inline int ended = 0;
    static void dispose(int* number) noexcept { ended = *number; }
};

} // namespace

TEST_CASE("owner: ends its object once, when it is destroyed, assigned or reset") {
    STATIC_REQUIRE(!std::is_copy_constructible_v<owner<counted>>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<owner<counted>>);
    STATIC_REQUIRE(sizeof(owner<counted>) == sizeof(counted*));
    counted::reset();
    {
        owner<counted> first = make_owner<counted>(1);
        owner<counted> second = make_owner<counted>(2);
        CHECK(counted::alive == 2);
        second = std::move(first);
        CHECK(counted::alive == 1);
        CHECK(second->value == 1);
        CHECK(first == nullptr);
        second.reset();
        CHECK(counted::alive == 0);
        CHECK_FALSE(second);
        second = make_owner<counted>(3);
        const owner<counted> third(std::move(second));
        CHECK((*third).value == 3);
        CHECK(counted::alive == 1);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("owner: assigned to itself it keeps its object") {
    counted::reset();
    owner<counted> one = make_owner<counted>(7);
    owner<counted>& same = one;
    one = std::move(same);
    REQUIRE(one != nullptr);
    CHECK(one->value == 7);
    CHECK(counted::alive == 1);
}

TEST_CASE("owner: gives up what is released, and takes one of a derived type") {
    counted::reset();
    owner<derived_counted> derived = make_owner<derived_counted>(4);
    owner<counted> base(std::move(derived));
    CHECK(derived == nullptr);
    counted* const released = base.release();
    CHECK(base == nullptr);
    CHECK(base.get() == nullptr);
    CHECK(counted::alive == 1);
    delete static_cast<derived_counted*>(released);
}

TEST_CASE("owner: its deleter ends the object, and is not asked about none") {
    int number = 5;
    noted::ended = 0;
    { const owner<int, noted> none; }
    CHECK(noted::ended == 0);
    { const owner<int, noted> one(&number); }
    CHECK(noted::ended == 5);
}
