// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/functional.hpp>

#include "support/catch.hpp"

#include <memory>
#include <type_traits>
#include <utility>

namespace detail = asynchio::detail;

namespace {

struct account {
    int balance = 10;
    int add(int more) { return balance += more; }
};

} // namespace

TEST_CASE("invoke: calls functions, members and callables") {
    account mine;
    CHECK(detail::invoke([](int a, int b) { return a - b; }, 5, 3) == 2);
    CHECK(detail::invoke(&account::add, mine, 5) == 15);
    CHECK(detail::invoke(&account::add, &mine, 1) == 16);
    CHECK(detail::invoke(&account::balance, std::as_const(mine)) == 16);
}

TEST_CASE("invoke: passes arguments and results as they are") {
    int number = 1;
    int& same = detail::invoke([](int& n) -> int& { return n; }, number);
    CHECK(&same == &number);
    const auto give = [](std::unique_ptr<int> owned) { return owned; };
    std::unique_ptr<int> back = detail::invoke(give, std::make_unique<int>(3));
    CHECK(*back == 3);
    struct once {
        int operator()() && { return 1; }
        int operator()() & { return 2; }
    };
    once callable;
    CHECK(detail::invoke(callable) == 2);
    CHECK(detail::invoke(std::move(callable)) == 1);
    STATIC_REQUIRE(std::is_void_v<decltype(detail::invoke([] {}))>);
}
