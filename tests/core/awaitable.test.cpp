// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/awaitable.hpp>

#include "support/catch.hpp"

#include <coroutine>
#include <memory>
#include <string>
#include <type_traits>

namespace {

struct gives_int {
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int await_resume() const noexcept { return 7; }
};

/// What await_suspend takes does not matter: it may be a template.
struct gives_reference {
    bool await_ready() const noexcept { return true; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise>) const noexcept {}
    std::string& await_resume() const noexcept { return *text; }
    std::string* text;
};

struct member_operator {
    gives_int operator co_await() const noexcept { return {}; }
};

struct free_operator {
    std::string text;
};
gives_reference operator co_await(free_operator& x) noexcept { return {&x.text}; }

struct only_as_rvalue {
    gives_int operator co_await() && noexcept { return {}; }
};

struct no_resume {
    bool await_ready() const noexcept { return true; }
};

struct truthy {
    explicit operator bool() const noexcept { return true; }
};
struct ready_is_truthy {
    truthy await_ready() const noexcept { return {}; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const noexcept {}
};

} // namespace

TEST_CASE("awaitable: awaiters and both kinds of operator co_await are recognised") {
    STATIC_REQUIRE(asynchio::awaitable<gives_int>);
    STATIC_REQUIRE(asynchio::awaitable<gives_int&>);
    STATIC_REQUIRE(asynchio::awaitable<const gives_int&>);
    STATIC_REQUIRE(asynchio::awaitable<member_operator>);
    STATIC_REQUIRE(asynchio::awaitable<free_operator&>);
    STATIC_REQUIRE(asynchio::awaitable<only_as_rvalue>);
    STATIC_REQUIRE(asynchio::awaitable<ready_is_truthy>);
    STATIC_REQUIRE(asynchio::awaitable<std::suspend_always>);
}

TEST_CASE("awaitable: what co_await would not accept is refused") {
    STATIC_REQUIRE_FALSE(asynchio::awaitable<int>);
    STATIC_REQUIRE_FALSE(asynchio::awaitable<void>);
    STATIC_REQUIRE_FALSE(asynchio::awaitable<std::string>);
    STATIC_REQUIRE_FALSE(asynchio::awaitable<no_resume>);
    STATIC_REQUIRE_FALSE(asynchio::awaitable<only_as_rvalue&>);
    STATIC_REQUIRE_FALSE(asynchio::awaitable<free_operator>);
    STATIC_REQUIRE_FALSE(asynchio::awaitable<std::unique_ptr<gives_int>>);
}

TEST_CASE("awaitable: an awaiter is its own, by reference") {
    gives_int one;
    CHECK(&asynchio::get_awaiter(one) == &one);
    STATIC_REQUIRE(std::is_same_v<asynchio::awaiter_t<gives_int&>, gives_int&>);
    STATIC_REQUIRE(std::is_same_v<asynchio::awaiter_t<gives_int>, gives_int&&>);
    STATIC_REQUIRE(std::is_same_v<asynchio::awaiter_t<member_operator>, gives_int>);
}

TEST_CASE("awaitable: the awaiter of a free operator refers to the object it was found by") {
    free_operator x{"text"};
    CHECK(&asynchio::get_awaiter(x).await_resume() == &x.text);
}

TEST_CASE("awaitable: the result type keeps values, references and void") {
    STATIC_REQUIRE(std::is_same_v<asynchio::await_result_t<gives_int>, int>);
    STATIC_REQUIRE(std::is_same_v<asynchio::await_result_t<member_operator&>, int>);
    STATIC_REQUIRE(std::is_same_v<asynchio::await_result_t<gives_reference>, std::string&>);
    STATIC_REQUIRE(std::is_same_v<asynchio::await_result_t<free_operator&>, std::string&>);
    STATIC_REQUIRE(std::is_void_v<asynchio::await_result_t<std::suspend_always>>);
}

TEST_CASE("awaitable: what is kept of a result owns a watched value and keeps other references") {
    using asynchio::detail::kept_result;
    STATIC_REQUIRE(std::is_same_v<kept_result<int>::type, int>);
    STATIC_REQUIRE(std::is_same_v<kept_result<const int>::type, int>);
    STATIC_REQUIRE(std::is_same_v<kept_result<const std::string&>::type, std::string>);
    STATIC_REQUIRE(std::is_same_v<kept_result<std::string&>::type, std::string&>);
    STATIC_REQUIRE(std::is_void_v<kept_result<void>::type>);
}
