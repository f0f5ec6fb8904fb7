// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/closure_check.hpp>

#include "support/catch.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace {

using asynchio::detail::breaks_in_co_await;
using asynchio::detail::is_closure;

#if defined(__GNUC__) && !defined(__clang__)
constexpr bool names_closures = true;
#else
constexpr bool names_closures = false;
#endif
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
constexpr bool breaks = true;
#else
constexpr bool breaks = false;
#endif

struct aggregate {
    std::string text;
    int number = 0;
};
struct trivial_aggregate {
    int number;
};
struct functor {
    explicit functor(std::string t) : text(std::move(t)) {}
    int operator()() const { return 1; }
    std::string text;
};
template<class F>
struct wrapper {
    explicit wrapper(F f) : function(std::move(f)) {}
    ~wrapper() = default;
    F function;
};

template<class T>
auto closure_of_a_template(T value) {
    return [value](T other) { return value == other; };
}

template<class T>
constexpr bool closure(const T&) {
    return is_closure<T>();
}
template<class T>
constexpr bool breaking(const T&) {
    return breaks_in_co_await<T>();
}

} // namespace

TEST_CASE("closure_check: lambdas are recognised by their name") {
    const std::string text = "captured";
    CHECK(closure([text] { return text; }) == names_closures);
    CHECK(closure([&text](int, std::string) { return text; }) == names_closures);
    CHECK(closure([copy = std::string(text)]() mutable { copy += 'x'; }) == names_closures);
    CHECK(closure([text](auto... all) { return sizeof...(all) + text.size(); }) == names_closures);
    CHECK(closure([text](int (*)(char), std::vector<std::string>) noexcept { return text; }) == names_closures);
    CHECK(closure([](std::function<void(int)>) {}) == names_closures);
    CHECK(closure(closure_of_a_template(text)) == names_closures);
    CHECK(closure([text] { return [text] { return text; }; }()) == names_closures);
}

TEST_CASE("closure_check: what merely holds a lambda, or is none, is no closure") {
    const std::string text = "captured";
    const auto lambda = [text](int) { return text; };
    CHECK_FALSE(closure(std::function<std::string(int)>(lambda)));
    CHECK_FALSE(closure(std::bind(lambda, 1)));
    CHECK_FALSE(closure(wrapper(lambda)));
    CHECK_FALSE(closure(std::make_unique<decltype(lambda)>(lambda)));
    CHECK_FALSE(closure(std::vector{lambda}));
    CHECK_FALSE(closure(functor("x")));
    CHECK_FALSE(closure(aggregate{"x"}));
    CHECK_FALSE(closure(std::string()));
    CHECK_FALSE(is_closure<int>());
    CHECK_FALSE(is_closure<void (*)(int)>());
}

TEST_CASE("closure_check: only temporaries that own something are refused, and only where the compiler is broken") {
    const std::string text = "captured";
    const auto lambda = [text](int) { return text; };
    using lambda_type = std::remove_const_t<decltype(lambda)>;
    STATIC_REQUIRE(breaks_in_co_await<lambda_type>() == breaks);
    STATIC_REQUIRE(breaks_in_co_await<const lambda_type>() == breaks);
    STATIC_REQUIRE(breaks_in_co_await<aggregate>() == breaks);
    STATIC_REQUIRE_FALSE(breaks_in_co_await<lambda_type&>());
    STATIC_REQUIRE_FALSE(breaks_in_co_await<const lambda_type&>());
    STATIC_REQUIRE_FALSE(breaks_in_co_await<trivial_aggregate>());
    STATIC_REQUIRE_FALSE(breaks_in_co_await<functor>());
    STATIC_REQUIRE_FALSE(breaks_in_co_await<std::string>());
    STATIC_REQUIRE_FALSE(breaks_in_co_await<int>());
    STATIC_REQUIRE_FALSE(breaks_in_co_await<std::function<void()>>());
    const std::string& referenced = text;
    CHECK_FALSE(breaking([&referenced] { return referenced; }));
    CHECK_FALSE(breaking([] {}));
    CHECK_FALSE(breaking(std::bind(lambda, 1)));
    asynchio::detail::check_awaited_arguments<int, std::string, lambda_type&>();
}
